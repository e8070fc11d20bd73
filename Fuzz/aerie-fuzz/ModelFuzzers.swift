import AerieCore
import AerieData
import Foundation
import Fuzzing

@testable import InferONNX
@testable import InferTrees
@testable import Serving

/// Model files, as somebody may have altered them.
enum ModelFuzzers {
    static var all: [Fuzzer] { [xgboostJSON, xgboostUBJSON, lightGBM, manifest, onnx] }

    private static let xgboostWords = [
        "learner", "gradient_booster", "model", "trees", "left_children", "right_children", "split_indices", "default_left",
        "split_conditions", "categories", "categories_nodes", "tree_param", "num_nodes", "size_leaf_vector", "base_score",
        "num_class", "num_feature", "objective", "name", "gbtree", "dart", "gblinear", "binary:logistic",
        "multi:softprob", "weight_drop", "tree_info", "2147483647",
    ]

    private static var xgboostJSON: Fuzzer {
        Fuzzer(
            "xgboost-json", "XGBoost's models in JSON, all walks to the same numbers", shape: .json,
            seeds: ProjectFiles.all(in: ProjectFiles.trees, ending: ".json").filter { $0.starts(with: bytes("{\"learner")) },
            dictionary: xgboostWords
        ) {
            { input in
                try outcome { walk throws(AerieError) in
                    try XGBoostFormat.load(ModelFile(name: "model", copying: Array(input)), walk: walk)
                }
            }
        }
    }

    private static var xgboostUBJSON: Fuzzer {
        Fuzzer(
            "xgboost-ubjson", "XGBoost's models in UBJSON, all walks to the same numbers",
            seeds: ProjectFiles.all(in: ProjectFiles.trees, ending: ".ubj"), dictionary: xgboostWords + ["$l#L", "[$", "#U"]
        ) {
            { input in
                try outcome { walk throws(AerieError) in
                    try XGBoostFormat.load(ModelFile(name: "model", copying: Array(input)), walk: walk)
                }
            }
        }
    }

    private static var lightGBM: Fuzzer {
        Fuzzer(
            "lightgbm", "LightGBM's text models, all walks to the same numbers", shape: .lines,
            seeds: ProjectFiles.all(in: ProjectFiles.trees, ending: ".txt"), dictionary: [
                "num_leaves=", "num_cat=", "cat_boundaries=", "cat_threshold=", "split_feature=", "threshold=",
                "decision_type=", "left_child=", "right_child=", "leaf_value=", "leaf_const=", "leaf_features=",
                "is_linear=1", "shrinkage=", "objective=", "num_class=", "max_feature_idx=", "Tree=", "end of trees", "-1",
                "nan", "inf",
            ]
        ) {
            { input in
                try outcome { walk throws(AerieError) in
                    try LightGBMFormat.load(ModelFile(name: "model", copying: Array(input)), walk: walk)
                }
            }
        }
    }

    /// Loads a model for each walk, and holds the answers against those of the general one.
    private static func outcome(
        _ load: (_ walk: TreeWalk) throws(AerieError) -> any TabularModel
    ) throws -> String {
        let models: [any TabularModel]
        do throws(AerieError) {
            models = [try load(.general), try load(.single), try load(.binned)]
        } catch {
            if error.code == .internal { throw FuzzFinding("an error without a cause: \(error.message)") }
            return "\(error.code) \(error.message)"
        }
        let (features, outputs) = (models[0].featureCount, models[0].outputCount)
        // A damaged header may ask for rows that nobody would send.
        guard features < 2000, outputs < 2000 else { return "wide" }
        let answers = models.map { predict($0, features, outputs) }
        for answer in answers.dropFirst() {
            for (fast, general) in zip(answer, answers[0]) where !isSame(fast, general) {
                throw FuzzFinding("a fast walk answers \(fast), the general one \(general)")
            }
        }
        return "ok"
    }

    private static func isSame(_ a: Double, _ b: Double) -> Bool {
        a == b || a.isNaN && b.isNaN || abs(a - b) <= 1e-5 * max(abs(a), abs(b))
    }

    /// Rows of all kinds of numbers, as many as go through trees together.
    private static func predict(_ model: any TabularModel, _ features: Int, _ outputs: Int) -> [Double] {
        let count = 45
        let values = [0.5, .nan, -3, 1e9, 2, 0, -0.0, 17, .infinity]
        let cells = (0..<(count * features + 1)).map { values[$0 * 7 % values.count] }
        var answer = [Double](repeating: 0, count: count * outputs)
        withUnsafeTemporaryAllocation(byteCount: max(8, answer.count * 8), alignment: 64) { output in
            func run(_ rows: UnsafeRawBufferPointer) {
                model.predict(rows: rows.baseAddress!, count: count, into: output.baseAddress!)
            }
            if model.rowType == .fp64 {
                cells.withUnsafeBytes(run)
            } else {
                cells.map { Float($0) }.withUnsafeBytes(run)
            }
            let type = model.description.outputs[0].dataType
            for index in answer.indices {
                answer[index] = type == .fp64
                    ? output.loadUnaligned(fromByteOffset: index * 8, as: Double.self)
                    : Double(output.loadUnaligned(fromByteOffset: index * 4, as: Float.self))
            }
        }
        return answer
    }

    private static var manifest: Fuzzer {
        let seed = """
            artifact_path: model
            flavors:
              python_function:
                loader_module: mlflow.xgboost
                model_path: model.ubj
              xgboost:
                data: model.ubj
                model_class: xgboost.core.Booster
                model_format: ubj
            signature:
              inputs: '[{"name": "amount", "type": "double"}, {"name": "hour", "type": "long"}]'
              outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1]}}]'
            """
        return Fuzzer(
            "mlmodel", "MLflow's MLmodel files", shape: .lines, seeds: [bytes(seed)], dictionary: [
                "flavors:", "data:", "signature:", "inputs:", "&a", "*a", "<<:", "!!binary", "---", "? ", "|", ">", "- ",
                "[", "]", "{", "}", "'", "\"",
            ], maximumBytes: 8 << 10
        ) {
            { input in
                do throws(AerieError) {
                    let manifest = try MLmodelManifest(text: String(decoding: input, as: UTF8.self), of: "model")
                    return "\(manifest.flavors.count) \(manifest.featureNames.count)"
                } catch { return "\(error.code) \(error.message)" }
            }
        }
    }

    private static var onnx: Fuzzer {
        Fuzzer(
            "onnx", "what is looked at in an ONNX file before the library sees it", shape: .protobuf,
            seeds: ProjectFiles.all(in: ProjectFiles.onnx, ending: ".onnx")
        ) {
            let path = FileManager.default.temporaryDirectory.path + "/aerie-fuzz-\(UUID().uuidString).onnx"
            return { input in
                try Data(input).write(to: URL(fileURLWithPath: path))
                defer { unlink(path) }
                do throws(AerieError) {
                    try ONNXStructure.check(file: path)
                    return "ok"
                } catch {
                    if let offset = error.details.first?.offset, offset > input.count {
                        throw FuzzFinding("an error at \(offset) of \(input.count)")
                    }
                    return error.message.split(separator: "malformed").last.map { String($0) } ?? ""
                }
            }
        }
    }
}
