import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieResources
import AerieTelemetry
import AerieYAML
import CompressZlib
import Foundation
import Fuzzing
import InferTrees
import Logging
import NIOCore
import Synchronization

@testable import InferenceAPI
@testable import Serving

/// What a server does with a manifest: reads it, loads what it names, answers requests to it, takes it down again.
///
/// Models are those of the fixtures, whatever the manifest asks for: `xgb` (rows of FP32), `lgb` (rows of FP64, several
/// classes), `tensors` (whole tensors); a URI that holds `missing` leads to nothing, one that ends in `.csv` to rows.
/// The data plane is the real one, on a port of its own. `@unchecked Sendable`: cases run one after another.
final class FuzzedDeployments: @unchecked Sendable {
    private static let kinds: [any ResourceKind] = [
        SeldonDeploymentKind(), InferenceServiceKind(), SeldonModelKind(), ExperimentKind(), AutoscalerKind(),
    ]
    private let reader = ManifestReader(kinds: KindRegistry(FuzzedDeployments.kinds))
    private let source: FixtureSource
    private let loader: ModelLoader
    private let repository = NewestRepository()
    private let plane: InferencePlane
    private let client: LoopbackClient
    private let generation = Atomic<UInt64>(0)
    private let logger = Logger(label: "aerie.fuzz", factory: { _ in SwiftLogNoOpLogHandler() })

    init() throws {
        source = try FixtureSource()
        loader = ModelLoader(formats: [try FixtureFormat()])
        var options = InferencePlane.Options()
        options.loops = 1
        options.seed = 1
        options.coder = try? ZlibCoder()
        options.repository = repository
        options.responseCache = ResponseCache(capacity: 1 << 20)
        options.shadows = ShadowQueue(registry: nil)
        options.loadTimeoutSeconds = 2
        let plane = InferencePlane(options: options)
        self.plane = plane
        let server = try plane.group.any().makeFutureWithTask {
            try await plane.serveHTTP(host: "127.0.0.1", port: 0)
        }.wait()
        client = LoopbackClient(port: server.port)
    }

    /// The documents of a text as one list of JSON.
    static func list(_ yaml: String) -> String {
        JSONValue.array(((try? YAMLDocument.parseAll(yaml)) ?? []).map(\.value)).text()
    }

    /// The text whose documents stand in a list of JSON, each on a line of its own; what is no list, as it is.
    static func text(of list: UnsafeRawBufferPointer) -> String {
        let documents = (try? JSONValue.parse(Array(list)))?.array
        return documents?.map { $0.text() }.joined(separator: "\n---\n") ?? String(decoding: list, as: UTF8.self)
    }

    /// What became of a manifest, in a few words.
    /// - Throws: `FuzzFinding` for a refusal without a cause, an accepted object that cannot be applied again, and one
    ///   that is neither served nor says why.
    func outcome(of text: String) throws -> String {
        let resources: [Resource]
        do throws(AerieError) { resources = try reader.read(text).map(\.resource) } catch {
            return try Self.refusal(error, lines: text.unicodeScalars.count(where: Self.lineBreaks.contains) + 1)
        }
        for resource in resources { try checkIsReadAgain(resource) }
        let outcomes = try plane.group.any().makeFutureWithTask { [self] in try await deploy(resources) }.wait()
        return outcomes.joined(separator: " / ")
    }

    /// What YAML ends a line with.
    private static let lineBreaks: Set<Unicode.Scalar> = ["\n", "\r", "\u{85}", "\u{2028}", "\u{2029}"]

    private static func refusal(_ error: AerieError, lines: Int) throws -> String {
        guard error.code == .invalidArgument || error.code == .resourceExhausted, !error.message.isEmpty else {
            throw FuzzFinding("refused as \(error.code): \(error.message)")
        }
        for detail in error.details {
            if detail.problem.isEmpty { throw FuzzFinding("a problem without words at \(detail.field ?? "")") }
            if let line = detail.line, !(0...(lines + 1)).contains(line) {
                throw FuzzFinding("a problem on line \(line) of \(lines): \(detail.problem)")
            }
        }
        return "\(error.code) " + error.details.map(\.problem).joined(separator: "; ") + error.message
    }

    /// What is kept of an object is the same object when somebody applies it again.
    private func checkIsReadAgain(_ resource: Resource) throws {
        let text = resource.declaration.text()
        let again: [Resource]
        do throws(AerieError) { again = try reader.read(text).map(\.resource) } catch {
            throw FuzzFinding("cannot be applied again: \(error.message): \(text.prefix(300))")
        }
        if again != [resource] { throw FuzzFinding("read again it is another object: \(text.prefix(300))") }
    }

    // MARK: Serving it

    private func deploy(_ resources: [Resource]) async throws -> [String] {
        let service = ServingService()
        service.subscribe { [self] table in
            plane.update(
                ServingTable(
                    generation: generation.add(1, ordering: .relaxed).newValue, deployments: table.deployments,
                    sleeping: table.sleeping,
                    sleepingLimits: Dictionary(
                        uniqueKeysWithValues: table.sleeping.map { ($0, table.limits(ofSleeping: $0)) })))
        }
        let controller = SeldonDeploymentController(
            service: service, source: source, loader: loader,
            metrics: NodeMetrics(registry: MetricsRegistry()), modelMemory: 1 << 20, logger: logger,
            inferenceURL: { "http://127.0.0.1:8000" })
        repository.newest.withLock { $0 = controller }
        let reconcilers: [any Reconciler] = [
            controller, InferenceServiceController(controller), SeldonModelController(controller),
            ExperimentController(service: service, inferenceURL: { "http://127.0.0.1:8000" }),
        ]
        func reconciler(_ resource: Resource) -> (any Reconciler)? {
            reconcilers.first { $0.kind == resource.kind }
        }
        var outcomes: [String] = []
        for resource in resources {
            guard let reconciler = reconciler(resource) else { continue }
            outcomes.append(try await reconcile(resource, reconciler, service))
        }
        for state in service.states() {
            let model = service.served(namespace: state.namespace, name: state.name)?.predictors.first?.model
            outcomes.append(try await ask(state, columns: model?.description.inputs.first?.shape.last ?? -1))
        }
        for resource in resources.reversed() { try await reconciler(resource)?.removed(resource) }
        let left = service.current()
        guard left.deployments.isEmpty, left.sleeping.isEmpty, service.states().isEmpty else {
            throw FuzzFinding("something is served though all was deleted: \(service.states().map(\.name))")
        }
        return outcomes
    }

    private func reconcile(
        _ resource: Resource, _ reconciler: any Reconciler, _ service: ServingService
    ) async throws -> String {
        do {
            let result = try await reconciler.reconcile(resource)
            let table = service.current()
            var again = resource
            again.status = result.status
            _ = try await reconciler.reconcile(again)
            guard service.current() === table else {
                throw FuzzFinding("the same object twice made another table: \(resource.spec)")
            }
            let condition = result.status["conditions"]?[0]
            let why = condition?["message"]?.string ?? ""
            if condition?["status"]?.string != "True", why.isEmpty {
                throw FuzzFinding("neither ready nor a reason: \(JSONValue.object(result.status).text().prefix(300))")
            }
            return why
        } catch let error as AerieError {
            if error.code == .internal { throw FuzzFinding("an error without a cause: \(error.message)") }
            return "\(error.code) \(error.message)"
        }
    }

    /// A prediction by two protocols and an explanation, of whatever answers under the name.
    /// - Parameter columns: of the model's rows; below 0 where it does not say.
    private func ask(_ state: DeploymentState, columns: Int) async throws -> String {
        let columns = columns > 0 ? columns : FixtureSource.columns
        let row = (0..<columns).map { "\(Double($0) / 2)" }.joined(separator: ",")
        let (name, namespace) = (state.name, state.namespace)
        let predictor = state.predictors.first?.name ?? "default"
        var outcomes: [String] = []
        for (path, body) in [
            ("/v2/models/\(name)/infer",
             #"{"inputs":[{"name":"x","shape":[1,\#(columns)],"datatype":"FP32","data":[\#(row)]}]}"#),
            ("/seldon/\(namespace)/\(name)/api/v1.0/predictions", #"{"data":{"ndarray":[[\#(row)],[\#(row)]]}}"#),
            ("/seldon/\(namespace)/\(name)-explainer/\(predictor)/api/v1.0/explain", #"{"data":{"ndarray":[[\#(row)]]}}"#),
        ] {
            let reply = try await client.post(path, body)
            if state.state == .ready, reply.status == 404 {
                throw FuzzFinding("\(name) is ready and not found by \(path): \(reply.outcome)")
            }
            outcomes.append(reply.outcome)
        }
        return "\(state.state.rawValue) " + outcomes.joined(separator: " ")
    }
}

/// Leads requests for models that are loaded when they are asked for to the controller of the present case.
private final class NewestRepository: ModelRepository {
    let newest = Mutex<SeldonDeploymentController?>(nil)

    private func controller() throws(AerieError) -> SeldonDeploymentController {
        guard let controller = newest.withLock({ $0 }) else { throw .notFound("nothing is served yet") }
        return controller
    }

    func index() -> [DeploymentState] { newest.withLock { $0 }?.index() ?? [] }
    func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError) {
        try await controller().load(name, policy: policy, files: files)
    }
    func unload(_ name: String) async throws(AerieError) { try await controller().unload(name) }
    func wake(_ name: String) async throws(AerieError) { try await controller().wake(name) }
}

/// Every URI means one of the fixtures.
private struct FixtureSource: ModelSource {
    /// Of the tree models and the file of rows.
    static let columns = 6
    private let folder: String

    init() throws {
        folder = FileManager.default.temporaryDirectory.path + "/aerie-fuzz-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        for name in FixtureFormat.names { try write("\(name).model", name) }
        let columns = 0..<Self.columns
        let rows = (0..<12).map { row in columns.map { "\((row * 7 + $0 * 3) % 11)" }.joined(separator: ",") }
        try write("rows.csv", ([columns.map { "f\($0)" }.joined(separator: ",")] + rows).joined(separator: "\n"))
    }

    private func write(_ name: String, _ text: String) throws {
        try text.write(toFile: "\(folder)/\(name)", atomically: true, encoding: .utf8)
    }

    func fetch(_ uri: String) async throws(AerieError) -> ModelLocation {
        if uri.contains("missing") { throw .notFound("\(uri): there is no such model") }
        let name = FixtureFormat.names.first { uri.contains($0) } ?? "xgb"
        let path = "\(folder)/" + (uri.hasSuffix(".csv") ? "rows.csv" : "\(name).model")
        return ModelLocation(path: path, name: name, version: "1", identity: uri, uri: uri)
    }
}

/// Models that were loaded before, so that a case costs what the deployment costs and not what its files do.
private struct FixtureFormat: ModelFormat {
    static let names = ["xgb", "lgb", "tensors"]
    let flavor = "fixture"
    let fileExtensions = ["model"]
    private let models: [String: any Serving.InferenceModel]

    init() throws {
        models = [
            "xgb": try XGBoostFormat().load(file: "\(ProjectFiles.trees)/xgb-binary.json"),
            "lgb": try LightGBMFormat().load(file: "\(ProjectFiles.trees)/lgb-multiclass.txt"), "tensors": EchoModel(),
        ]
    }

    func load(file path: String) throws(AerieError) -> any Serving.InferenceModel {
        let name = path.split(separator: "/").last?.split(separator: ".").first.map { String($0) } ?? ""
        guard let model = models[name] else { throw .invalid("", "\(path) is no model") }
        return model
    }
}
