import AerieCore
import InferONNX
import InferTrees
import Optimization
import Serving

/// The engines of this binary, as `aerie optimize` measures them.
struct LocalOptimizationEngine: OptimizationEngine {
    private let onnx = ONNXFormat()

    func native(_ path: String, kind: String) throws(AerieError) -> (any InferenceModel)? {
        guard kind == "xgboost" || kind == "lightgbm" else { return nil }
        let location = ModelLocation(path: path, name: kind, version: "1", identity: path, uri: path)
        return try ModelLoader(formats: [XGBoostFormat(), LightGBMFormat()]).load(location)
    }

    func graph(_ path: String) throws(AerieError) -> any InferenceModel {
        try onnx.load(file: path, optimization: .none)
    }

    func optimize(_ path: String, _ level: OptimizationLevel, to output: String) throws(AerieError) {
        let graph: ONNXFormat.GraphOptimization =
            switch level {
            case .basic: .basic
            case .extended: .extended
            case .all: .all
            }
        try onnx.optimize(file: path, graph, to: output)
    }
}
