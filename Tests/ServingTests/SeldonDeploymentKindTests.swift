import AerieCore
import AerieResources
import Serving
import Testing

@Suite("The kind SeldonDeployment")
struct SeldonDeploymentKindTests {
    private static let reader = ManifestReader(kinds: KindRegistry([SeldonDeploymentKind()]))

    private static func manifest(_ spec: String, metadata: String = "  name: fraud") -> String {
        "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\nmetadata:\n\(metadata)\nspec:\n"
            + spec.split(separator: "\n", omittingEmptySubsequences: false).map { "  " + $0 }.joined(separator: "\n")
    }

    /// One predictor whose graph has these lines besides its name and model.
    private static func graph(_ lines: String) -> String {
        "predictors:\n- name: main\n  graph:\n    name: classifier\n    modelUri: models:/fraud/1\n"
            + lines.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
    }

    /// One predictor whose graph has these lines and a name.
    private static func node(_ lines: String) -> String {
        "predictors:\n- name: main\n  graph:\n    name: root\n"
            + lines.split(separator: "\n").map { "    " + $0 }.joined(separator: "\n")
    }

    /// Children that need no model.
    private static func simple(_ count: Int) -> String {
        (0..<count).map { "{name: child-\($0), implementation: SIMPLE_MODEL}" }.joined(separator: ", ")
    }

    /// One predictor with these lines besides its name and graph.
    private static func predictor(_ lines: String) -> String {
        "predictors:\n- name: main\n  graph: {name: classifier, modelUri: models:/fraud/1}\n"
            + lines.split(separator: "\n").map { "  " + $0 }.joined(separator: "\n")
    }

    /// Predictors of these names and traffic.
    private static func split(_ predictors: [(String, String)]) -> String {
        "predictors:\n" + predictors.map {
            "- {name: \($0.0), graph: {name: m, modelUri: models:/fraud/1}, \($0.1)}"
        }.joined(separator: "\n")
    }

    static let wrong: [(String, String, String)] = [
        ("no predictors", "name: x", "spec.predictors"),
        ("an empty list", "predictors: []", "spec.predictors"),
        ("predictors that are no list", "predictors: {name: a}", "spec.predictors"),
        ("an unknown field", "predictor: []\n" + graph(""), "spec.predictor"),
        ("an unknown protocol", "protocol: thrift\n" + graph(""), "spec.protocol"),
        ("kafka", "serverType: kafka\n" + graph(""), "spec.serverType"),
        ("negative replicas", "replicas: -1\n" + graph(""), "spec.replicas"),
        ("no name", "predictors: [{graph: {name: a, modelUri: models:/m/1}}]", "spec.predictors[0].name"),
        ("a capital in a name", split([("Main", "traffic: 100")]), "spec.predictors[0].name"),
        ("a name that ends in a dash", split([("main-", "traffic: 100")]), "spec.predictors[0].name"),
        ("a name of 64 characters", split([(String(repeating: "a", count: 64), "shadow: false")]),
         "spec.predictors[0].name"),
        ("a name twice", split([("a", "traffic: 50"), ("a", "traffic: 50")]), "spec.predictors[1].name"),
        ("no graph", "predictors: [{name: a}]", "spec.predictors[0].graph"),
        ("traffic that adds up to 90", split([("a", "traffic: 80"), ("b", "traffic: 10")]), "spec.predictors"),
        ("traffic that adds up to 110", split([("a", "traffic: 80"), ("b", "traffic: 30")]), "spec.predictors"),
        ("two predictors without traffic", split([("a", "shadow: false"), ("b", "shadow: false")]), "spec.predictors"),
        ("traffic over 100", split([("a", "traffic: 101")]), "spec.predictors[0].traffic"),
        ("negative traffic", split([("a", "traffic: -1")]), "spec.predictors[0].traffic"),
        ("half a percent", split([("a", "traffic: 99.5")]), "spec.predictors[0].traffic"),
        ("one predictor with 50", split([("a", "traffic: 50")]), "spec.predictors[0].traffic"),
        ("only shadows", split([("a", "shadow: true")]), "spec.predictors"),
        ("traffic of shadows", split([("a", "traffic: 50"), ("b", "traffic: 30"), ("c", "traffic: 20, shadow: true")]),
         "spec.predictors"),
        ("shadow as a word", split([("a", "shadow: 'yes'")]), "spec.predictors[0].shadow"),
        ("an unknown implementation", graph("implementation: SKLEARN"), "spec.predictors[0].graph.implementation"),
        ("a router with a model", graph("implementation: RANDOM_ABTEST"), "spec.predictors[0].graph.modelUri"),
        ("a router without children", graph("implementation: RANDOM_ABTEST"), "spec.predictors[0].graph.children"),
        ("a type without a method", graph("type: ROUTER"), "spec.predictors[0].graph.implementation"),
        ("an unknown type of node", graph("type: MODLE"), "spec.predictors[0].graph.type"),
        ("two children of a model", graph("children: [{name: b, modelUri: m}, {name: c, modelUri: m}]"),
         "spec.predictors[0].graph.children"),
        ("a node's name twice", graph("children: [{name: classifier, modelUri: models:/m/1}]"),
         "spec.predictors[0].graph.children[0].name"),
        ("a child without a model", graph("children: [{name: b}]"), "spec.predictors[0].graph.children[0].modelUri"),
        ("an A/B test of three", node("implementation: RANDOM_ABTEST\nchildren: [\(simple(3))]"),
         "spec.predictors[0].graph.children"),
        ("a ratio over 1", node("implementation: RANDOM_ABTEST\nparameters: [{name: ratioA, value: '2'}]\n"
            + "children: [\(simple(2))]"), "spec.predictors[0].graph.parameters.ratioA"),
        ("an unknown method", node("type: COMBINER\nparameters: [{name: aerie.dev/method, value: median}]\n"
            + "children: [\(simple(2))]"), "spec.predictors[0].graph.parameters"),
        ("a method of another type", node("type: ROUTER\nparameters: [{name: aerie.dev/method, value: vote}]\n"
            + "children: [\(simple(2))]"), "spec.predictors[0].graph.type"),
        ("weights for other children", node("type: COMBINER\nparameters: [{name: aerie.dev/method, value: weighted},"
            + " {name: weights, value: '1'}]\nchildren: [\(simple(2))]"),
         "spec.predictors[0].graph.parameters.weights"),
        ("an epsilon of 0", node("type: ROUTER\nparameters: [{name: aerie.dev/method, value: epsilon-greedy},"
            + " {name: epsilon, value: '0'}]\nchildren: [\(simple(2))]"),
         "spec.predictors[0].graph.parameters.epsilon"),
        ("a scaler without numbers", node("type: TRANSFORMER\nparameters: [{name: aerie.dev/method, value: standardize}]\n"
            + "children: [\(simple(1))]"), "spec.predictors[0].graph.parameters.reference"),
        ("an output transformer alone", node("type: OUTPUT_TRANSFORMER\nparameters: "
            + "[{name: aerie.dev/method, value: clip}]"), "spec.predictors[0].graph.children"),
        ("a timeout that is none", "annotations: {seldon.io/rest-timeout: soon}\n" + graph(""),
         "spec.annotations.seldon.io/rest-timeout"),
        ("a sticky header that is none", "annotations: {aerie.dev/sticky-header: 'x y'}\n" + graph(""),
         "spec.annotations.aerie.dev/sticky-header"),
        ("a wrong child", graph("children: [{nam: b}]"), "spec.predictors[0].graph.children[0].nam"),
        ("tensorflow's protocol for XGBoost", "protocol: tensorflow\n" + graph("implementation: XGBOOST_SERVER"),
         "spec.predictors[0].graph.implementation"),
        ("no modelUri", "predictors: [{name: a, graph: {name: m}}]", "spec.predictors[0].graph.modelUri"),
        ("an empty modelUri", "predictors: [{name: a, graph: {name: m, modelUri: ''}}]",
         "spec.predictors[0].graph.modelUri"),
        ("an unknown scheme", "predictors: [{name: a, graph: {name: m, modelUri: 'ftp://h/m'}}]",
         "spec.predictors[0].graph.modelUri"),
        ("a model without version", "predictors: [{name: a, graph: {name: m, modelUri: 'models:/fraud'}}]",
         "spec.predictors[0].graph.modelUri"),
        ("an empty alias", "predictors: [{name: a, graph: {name: m, modelUri: 'models:/fraud@'}}]",
         "spec.predictors[0].graph.modelUri"),
        ("a number that is none", graph("parameters: [{name: a, value: x, type: INT}]"),
         "spec.predictors[0].graph.parameters[0].value"),
        ("a parameter twice", graph("parameters: [{name: a, value: x}, {name: a, value: y}]"),
         "spec.predictors[0].graph.parameters[1].name"),
        ("a parameter that is no string", graph("parameters: [{name: a, value: 1}]"),
         "spec.predictors[0].graph.parameters[0].value"),
        ("a feature service below the first node", node("implementation: AVERAGE_COMBINER\ntype: COMBINER\nchildren:\n"
            + "- {name: a, implementation: SIMPLE_MODEL, parameters: [{name: aerie.dev/feature-service, value: users}]}"),
         "spec.predictors[0].graph.children[0].parameters[0].name"),
        ("batches below the first node", graph("children: [{name: b, modelUri: models:/m/1, "
            + "parameters: [{name: aerie.dev/batching, value: 'true'}]}]"),
         "spec.predictors[0].graph.children[0].parameters[0].name"),
        ("a timeout of the graph that is none", graph("parameters: [{name: seldon.io/rest-timeout, value: soon}]"),
         "spec.predictors[0].graph.parameters[0].value"),
        ("a threshold over 1", graph("parameters: [{name: aerie.dev/threshold, value: '50'}]"),
         "spec.predictors[0].graph.parameters[0].value"),
        ("a threshold that is no number", predictor("annotations: {aerie.dev/threshold: half}"),
         "spec.predictors[0].annotations.aerie.dev/threshold"),
        ("an empty label", "annotations: {aerie.dev/positive-label: ''}\n" + graph(""),
         "spec.annotations.aerie.dev/positive-label"),
        ("replicas upside down", predictor("autoscaling: {minReplicas: 5, maxReplicas: 2}"),
         "spec.predictors[0].autoscaling.maxReplicas"),
        ("an unknown explainer", predictor("explainer: {type: Oracle}"), "spec.predictors[0].explainer.type"),
        ("a container outside of its pod", predictor("componentSpecs: [{containers: []}]"),
         "spec.predictors[0].componentSpecs[0].containers"),
    ]

    @Test("wrong input is refused with the path of its field and a line", arguments: wrong)
    func refused(_ name: String, _ spec: String, _ path: String) throws {
        let error = try #require(throws: AerieError.self) { try Self.reader.read(Self.manifest(spec)) }
        #expect(error.code == .invalidArgument)
        #expect(error.details.contains { $0.field == path }, "\(name): \(error.details.map(\.field))")
        #expect(error.details.allSatisfy { $0.line != nil && !$0.problem.isEmpty })
    }

    @Test("several problems are told at once")
    func together() throws {
        let spec = Self.split([("A", "traffic: 10"), ("b", "traffic: 20")])
        let error = try #require(throws: AerieError.self) { try Self.reader.read(Self.manifest(spec)) }
        #expect(error.details.map(\.field) == ["spec.predictors[0].name", "spec.predictors"])
    }

    @Test("the unknown implementation's message lists the known ones")
    func listsImplementations() throws {
        let text = Self.manifest(Self.graph("implementation: SKLEARN"))
        let error = try #require(throws: AerieError.self) { try Self.reader.read(text) }
        for known in ["SKLEARN_SERVER", "XGBOOST_SERVER", "MLFLOW_SERVER", "TRITON_SERVER"] {
            #expect(error.message.contains(known))
        }
    }

    @Test("the document's first deployment is accepted, with a warning for each field that steers pods")
    func foundingDocument() throws {
        let manifests = try Self.reader.read(FoundingDocument.deployment)
        #expect(manifests.map(\.resource.metadata.name) == ["fraud-detector"])
        let warnings = manifests[0].warnings
        for path in ["replicas", "componentSpecs", "autoscaling", "graph.implementation"] {
            #expect(warnings.contains { $0.hasPrefix("spec.predictors[0].\(path): ") }, "\(path): \(warnings)")
        }
        #expect(warnings.count == 4)
    }

    @Test("the document's A/B test, which names neither type nor implementation, is accepted")
    func abTest() throws {
        #expect(try Self.reader.read(FoundingDocument.abTest).count == 1)
    }

    @Test("protocol grpc, the older API versions and a zero share are accepted")
    func accepted() throws {
        let both = Self.split([("a", "traffic: 100"), ("b", "traffic: 0")])
        for version in ["v1", "v1alpha2", "v1alpha3"] {
            let text = Self.manifest("protocol: grpc\n" + both)
                .replacing("seldon.io/v1", with: "seldon.io/\(version)")
            #expect(try Self.reader.read(text)[0].warnings.isEmpty)
        }
        let shadow = Self.split([("a", "shadow: false"), ("b", "shadow: true")])
        #expect(try Self.reader.read(Self.manifest(shadow))[0].warnings.isEmpty)
    }

    @Test("a graph of every kind of node is accepted, and what a node does not look at is a warning")
    func graphs() throws {
        let spec = Self.node("""
            type: TRANSFORMER
            parameters: [{name: aerie.dev/method, value: clip}, {name: lower, value: '-3'}, {name: upper, value: '3'}]
            children:
            - name: router
              type: ROUTER
              parameters: [{name: aerie.dev/method, value: thompson-sampling}, {name: colour, value: red}]
              children:
              - {name: single, implementation: XGBOOST_SERVER, modelUri: models:/fraud/1}
              - name: ensemble
                implementation: AVERAGE_COMBINER
                type: COMBINER
                children: [\(Self.simple(2))]
            """)
        let warnings = try Self.reader.read(Self.manifest(spec))[0].warnings
        let router = "spec.predictors[0].graph.children[0]"
        #expect(warnings.count == 2)
        #expect(warnings.contains { $0.hasPrefix("\(router).parameters[1]: colour") })
        #expect(warnings.contains { $0.hasPrefix("\(router).children[0].implementation") })
    }

    @Test("a feature service at an inner node is refused by the node's name, and told where it belongs")
    func innerFeatures() throws {
        let child = "{name: b, modelUri: models:/m/1, parameters: [{name: aerie.dev/feature-service, value: users}]}"
        let text = Self.manifest(Self.graph("children: [\(child)]"))
        let error = try #require(throws: AerieError.self) { try Self.reader.read(text) }
        #expect(error.message.contains("for the node \"b\""))
        #expect(error.message.contains("spec.predictors[0].graph.parameters or as an annotation"))
        let first = Self.graph("parameters: [{name: aerie.dev/feature-service, value: users}]")
        #expect(try Self.reader.read(Self.manifest(first))[0].warnings.isEmpty)
    }

    @Test("every form of a model's URI that can be asked for is accepted", arguments: [
        "models:/fraud/3", "models:/fraud/Production", "models:/fraud@champion", "models:/fraud/latest",
        "runs:/abc/model", "/srv/model.ubj", "file:///srv/model", "gs://bucket/m", "s3://bucket/m",
        "relative/model.txt", "models:/m-0a1b",
    ])
    func uris(_ uri: String) throws {
        let text = Self.manifest("predictors: [{name: a, graph: {name: m, modelUri: '\(uri)'}}]")
        #expect(try Self.reader.read(text).count == 1)
    }

    @Test("stages and aliases move, versions, runs and files do not")
    func moving() {
        for uri in ["models:/fraud/Production", "models:/fraud@champion", "models:/fraud/latest"] {
            #expect(ModelURI.isMoving(uri))
        }
        for uri in ["models:/fraud/3", "runs:/a/model", "/srv/model.ubj", "models:/m-0a1b"] {
            #expect(!ModelURI.isMoving(uri))
        }
    }
}
