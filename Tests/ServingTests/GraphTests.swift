import AerieCore
import AerieData
import AerieJSON
import AerieTelemetry
import Testing

@testable import Serving

/// Adds a number to each row's sum; refuses rows of another width than two.
private final class AddingModel: Serving.InferenceModel {
    let description: ModelDescription
    let added: Double

    init(_ added: Double, nanosecondsPerRow: Double = 100, features: [String] = ["a", "b"]) {
        self.added = added
        description = ModelDescription(
            platform: "fake", inputs: [TensorSpec(name: "x", dataType: .fp64, shape: [-1, features.count])],
            outputs: [TensorSpec(name: "y", dataType: .fp64, shape: [-1, 1])], featureNames: features,
            nanosecondsPerRow: nanosecondsPerRow)
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        let width = description.inputs[0].shape[1]
        guard inputs.count == 1, inputs[0].dataType == .fp64, inputs[0].shape.last == width else {
            throw .invalid("x", "does not fit")
        }
        let values = inputs[0].elements(as: Double.self)
        let rows = values.count / width
        let sums = (0..<rows).map { row in
            // Weights 1, 10, 100… show a wrong order of columns.
            (0..<width).reversed().reduce(0) { $0 * 10 + values[row * width + $1] } + added
        }
        return [Tensor(name: "y", dataType: .fp64, shape: [rows, 1], elements: sums)]
    }
}

private func graph(
    _ text: String, models: [String: any Serving.InferenceModel] = [:], references: [String: NumberRows] = [:]
) throws -> GraphModel {
    var builder = GraphBuilder()
    for (name, model) in models { builder.models[name] = (model, "1") }
    builder.references = references
    let root = try builder.node(GraphSpec(try JSONValue.parse(text)))
    return GraphModel(
        root: root, place: GraphPlace(namespace: "default", deployment: "d", predictor: "p"), fingerprint: text)
}

private func rows(_ values: [Double], width: Int = 2, names: [String] = []) -> GraphMessage {
    GraphMessage(
        .tensors([Tensor(name: "", dataType: .fp64, shape: [values.count / width, width], elements: values)]),
        names: names)
}

private func numbers(_ message: GraphMessage) throws -> [Double] { try NumberRows(message).values }

private func node(_ type: String, _ method: String, _ parameters: [String: String] = [:], _ children: String = "")
    -> String
{
    let all = parameters.merging(["aerie.dev/method": method]) { a, _ in a }.sorted { $0.key < $1.key }
    let list = all.map { "{\"name\":\"\($0.key)\",\"value\":\"\($0.value)\"}" }.joined(separator: ",")
    return "{\"name\":\"\(method)\",\"type\":\"\(type)\",\"parameters\":[\(list)],\"children\":[\(children)]}"
}

private func model(_ name: String, _ children: String = "") -> String {
    "{\"name\":\"\(name)\",\"modelUri\":\"models:/\(name)/1\",\"children\":[\(children)]}"
}

@Suite("Graphs")
struct GraphTests {
    @Test("a chain of models gives the first one's answer to the second, and tells the way")
    func chain() throws {
        let chain = try graph(
            model("first", model("second")),
            models: ["first": AddingModel(1), "second": AddingModel(100, features: ["y"])])
        let answer = try chain.run(rows([1, 2, 3, 4]), service: .predictions)
        #expect(try numbers(answer) == [122, 144])
        #expect(answer.meta.requestPath == ["first": "models:/first/1", "second": "models:/second/1"])
        #expect(chain.description.inputs.map(\.name) == ["x"])
    }

    @Test("rows are matched by name where the names are the model's")
    func names() throws {
        let single = try graph(model("m", model("n")), models: ["m": AddingModel(0), "n": AddingModel(0, features: ["y"])])
        #expect(try numbers(single.run(rows([1, 2], names: ["b", "a"]), service: .predictions)) == [12])
        #expect(try numbers(single.run(rows([1, 2], names: ["t:0", "t:1"]), service: .predictions)) == [21])
        let error = try #require(throws: AerieError.self) {
            try single.run(rows([1, 2], names: ["a", "c"]), service: .predictions)
        }
        #expect(error.code == .invalidArgument && error.message.contains("graph node m") && error.message.contains("no b"))
    }

    @Test("combiners: average, weighted, vote and stacking", arguments: [
        ("average", [:], [21 + 20.0 / 3]), ("weighted", ["weights": "3,1,0"], [21.0 + 2.5]),
        ("vote", ["threshold": "0.5"], [31.0]), ("vote", ["weights": "9,1,1"], [21.0]),
    ] as [(String, [String: String], [Double])])
    func combiners(_ method: String, _ parameters: [String: String], _ expected: [Double]) throws {
        let children = [model("a"), model("b"), model("c")].joined(separator: ",")
        let combined = try graph(
            node("COMBINER", method, parameters, children),
            models: ["a": AddingModel(0), "b": AddingModel(10), "c": AddingModel(10)])
        let answer = try combined.run(rows([1, 2]), service: .predictions)
        for (value, wanted) in zip(try numbers(answer), expected) { #expect(abs(value - wanted) < 1e-9) }
        #expect(answer.meta.routing == [method: -1])
        #expect(Set(answer.meta.requestPath.keys) == [method, "a", "b", "c"])
    }

    @Test("stacking asks a model whose columns are the children's answers")
    func stacking() throws {
        let stacked = try graph(
            node("COMBINER", "stacking", [:], [model("a"), model("b")].joined(separator: ",")),
            models: ["a": AddingModel(0), "b": AddingModel(10), "stacking": AddingModel(0.5, features: ["a", "b"])])
        #expect(try numbers(stacked.run(rows([1, 2]), service: .predictions)) == [21 + 310 + 0.5])
    }

    @Test("slow children run side by side and answer in their order")
    func parallel() throws {
        let children = [model("a"), model("b")].joined(separator: ",")
        let combined = try graph(
            node("COMBINER", "weighted", ["weights": "1,0"], children),
            models: ["a": AddingModel(0, nanosecondsPerRow: 1e6), "b": AddingModel(10, nanosecondsPerRow: 1e6)])
        for _ in 0..<20 { #expect(try numbers(combined.run(rows([1, 2]), service: .predictions)) == [21]) }
    }

    @Test("a random A/B test keeps its ratio and says where each request went")
    func randomABTest() throws {
        let test = try graph(
            "{\"name\":\"ab\",\"implementation\":\"RANDOM_ABTEST\",\"parameters\":[{\"name\":\"ratioA\",\"value\":\"0.3\"},"
                + "{\"name\":\"seed\",\"value\":\"7\"}],\"children\":[\(model("a")),\(model("b"))]}",
            models: ["a": AddingModel(0), "b": AddingModel(10)])
        var first = 0
        for _ in 0..<2000 {
            let answer = try test.run(rows([1, 2]), service: .predictions)
            let arm = try #require(answer.meta.routing["ab"])
            #expect(try numbers(answer) == [arm == 0 ? 21 : 31])
            if arm == 0 { first += 1 }
        }
        #expect((520...680).contains(first))
    }

    @Test("a hash router keeps an entity with one child")
    func hashRouter() throws {
        let router = try graph(
            node("ROUTER", "hash", ["column": "user"], [model("a"), model("b")].joined(separator: ",")),
            models: ["a": AddingModel(0, features: ["user", "b"]), "b": AddingModel(10, features: ["user", "b"])])
        var seen: Set<Int> = []
        for user in 0..<50 {
            let arms = try (0..<3).map { _ in
                try router.run(rows([Double(user), 2], names: ["user", "b"]), service: .predictions).meta.routing["hash"]
            }
            #expect(Set(arms).count == 1)
            seen.insert(arms[0] ?? -1)
        }
        #expect(seen == [0, 1])
    }

    @Test("transformers change what the model sees; output transformers what it says")
    func transformers() throws {
        let clipped = try graph(
            node("TRANSFORMER", "clip", ["lower": "0", "upper": "2"], model("m")), models: ["m": AddingModel(0)])
        #expect(try numbers(clipped.run(rows([-5, 5]), service: .predictions)) == [20])
        let scaled = try graph(
            node("TRANSFORMER", "standardize", ["mean": "1,2", "std": "2,0"], model("m")), models: ["m": AddingModel(0)])
        #expect(try numbers(scaled.run(rows([5, 5]), service: .predictions)) == [32])
        let selected = try graph(
            node("TRANSFORMER", "select", ["columns": "b, a"], model("m")),
            models: ["m": AddingModel(0, features: ["u", "v"])])
        let named = rows([1, 9, 2], width: 3, names: ["a", "c", "b"])
        #expect(try numbers(selected.run(named, service: .predictions)) == [12])
        let output = try graph(
            node("OUTPUT_TRANSFORMER", "clip", ["lower": "0", "upper": "10"], model("m")), models: ["m": AddingModel(0)])
        #expect(try numbers(output.run(rows([1, 2]), service: .predictions)) == [10])
    }

    @Test("outlier detectors tag rows and leave them as they are")
    func outliers() throws {
        // Points on a tilted ellipse: by columns alone the second outlier is none.
        var values: [Double] = []
        var generator = SplitMix(seed: 3)
        for _ in 0..<400 {
            let (x, noise) = (generator.unit() * 2 - 1, (generator.unit() - 0.5) * 0.2)
            values += [x, x + noise]
        }
        let reference = NumberRows(rows: 400, columns: 2, values: values, names: ["a", "b"])
        let asked: [Double] = [0.5, 0.5, 9, 9, 0.8, -0.8]
        for (method, expected) in [
            ("outlier-mahalanobis", [0, 1, 1]), ("outlier-zscore", [0, 1, 0]), ("outlier-quantile", [0, 1, 0]),
        ] as [(String, [Int64])] {
            let detector = try graph(
                node("TRANSFORMER", method, ["reference": "x.csv"], model("m")), models: ["m": AddingModel(0)],
                references: [method: reference])
            let answer = try detector.run(rows(asked), service: .predictions)
            #expect(answer.meta.tags["outlier"] == .array(expected.map { .int($0) }), "\(method)")
            #expect(try numbers(answer) == [5.5, 99, 0.8 - 8])
        }
    }

    @Test("a reference that says nothing about a column is refused with its name")
    func degenerate() throws {
        let flat = NumberRows(rows: 5, columns: 2, values: [1, 1, 2, 1, 3, 1, 4, 1, 5, 1])
        let error = try #require(throws: AerieError.self) { try Mahalanobis(flat) }
        #expect(error.message.contains("column 1"))
    }

    @Test("errors name their node; the deadline is looked at between nodes")
    func failures() throws {
        let chain = try graph(
            model("first", model("second")), models: ["first": AddingModel(1), "second": AddingModel(1)])
        let error = try #require(throws: AerieError.self) { try chain.run(rows([1, 2]), service: .predictions) }
        #expect(error.message.hasPrefix("graph node second: "))
        let late = try graph(model("m", model("n")), models: ["m": AddingModel(1), "n": AddingModel(1)])
        let timeout = try #require(throws: AerieError.self) {
            try late.run(rows([1, 2]), service: .predictions, deadline: 1)
        }
        #expect(timeout.code == .deadlineExceeded)
    }

    @Test("other payloads become what the model takes", arguments: [
        GraphMessage.Payload.text("[[1, 2]]"), .json([[1, 2]]), .json(["b": 2, "a": 1]), .json([["a": 1, "b": 2]]),
        .bytes(Tensor(name: "", dataType: .fp64, shape: [1, 2], elements: [1.0, 2.0]).bytes),
    ])
    func payloads(_ payload: GraphMessage.Payload) throws {
        let single = try graph(model("m"), models: ["m": AddingModel(0)])
        #expect(try numbers(single.run(GraphMessage(payload), service: .predictions)) == [21])
    }

    @Test("SIMPLE_MODEL answers what Seldon's does, with its metrics")
    func simple() throws {
        let simple = try graph("{\"name\":\"s\",\"implementation\":\"SIMPLE_MODEL\"}")
        let answer = try simple.run(rows([1, 2]), service: .predictions)
        #expect(try numbers(answer) == [0.1, 0.9, 0.5])
        #expect(answer.names == ["class0", "class1", "class2"])
        #expect(answer.meta.metrics.map(\.kind) == [.counter, .gauge, .timer])
    }

    @Test("nodes are counted under Seldon's name for calls to models")
    func metrics() throws {
        let registry = MetricsRegistry()
        let service = ServingService(metrics: registry)
        var builder = GraphBuilder()
        builder.models = ["a": (AddingModel(0), "7"), "b": (AddingModel(1, features: ["y"]), "8")]
        builder.slot = { service.slot(for: SlotLabels(deployment: "d", predictor: "p", modelName: $0, modelVersion: $1)) }
        let root = try builder.node(GraphSpec(try JSONValue.parse(model("a", model("b")))))
        let graph = GraphModel(
            root: root, place: GraphPlace(namespace: "n", deployment: "d", predictor: "p"), fingerprint: "",
            metrics: NodeMetrics(registry: registry))
        _ = try graph.run(rows([1, 2]), service: .predictions)
        let text = registry.exposition()
        for (name, version) in [("a", "7"), ("b", "8")] {
            let line = text.split(separator: "\n").first {
                $0.hasPrefix("seldon_api_executor_client_requests_seconds_count") && $0.contains("model_name=\"\(name)\"")
            }
            #expect(line?.contains("model_version=\"\(version)\"") == true && line?.hasSuffix(" 1") == true)
        }
    }
}
