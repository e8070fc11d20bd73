// InferONNX
