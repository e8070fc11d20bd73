// InferTrees
