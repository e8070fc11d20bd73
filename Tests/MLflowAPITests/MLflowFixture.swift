import AerieCore
import AerieJSON
import Experiments
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import MLflowAPI
import NIOCore
import Registry
import StoreFiles
import StoreSQLite

/// A whole MLflow edge on a folder of its own, with real stores below it.
struct MLflowFixture {
    let folder: String
    let experiments: ExperimentService
    let registry: RegistryService
    let router: Router<BasicRequestContext>

    init() throws {
        folder = NSTemporaryDirectory() + "aerie-mlflow-" + IdentifierSource.system.hex32()
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let database = try MetadataDatabase(
            path: folder + "/metadata.db",
            migrations: SQLiteExperimentStore.migrations + SQLiteRegistryStore.migrations)
        let artifacts = try FileArtifactStore(root: folder + "/artifacts")
        experiments = ExperimentService(
            experiments: SQLiteExperimentStore(database), runs: SQLiteRunStore(database),
            models: SQLiteLoggedModelStore(database))
        registry = RegistryService(
            models: SQLiteRegistryStore(database), versions: SQLiteModelVersionStore(database),
                experiments: experiments,
            artifacts: artifacts)
        router = Router()
        let traces = TraceService(traces: SQLiteTraceStore(database), experiments: experiments, artifacts: artifacts)
        MLflowRoutes(
            experiments: experiments, registry: registry, traces: traces, artifacts: artifacts, actor: { _ in "ada" }
        ).register(on: router)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }
}

struct Answer {
    let status: HTTPResponse.Status
    let bytes: [UInt8]
    let headers: HTTPFields
    var json: JSONValue { (try? JSONValue.parse(bytes)) ?? .null }
    var text: String { String(decoding: bytes, as: UTF8.self) }
    var code: String? { json["error_code"]?.string }
}

extension TestClientProtocol {
    func send(
        _ method: HTTPRequest.Method, _ path: String, _ body: JSONValue? = nil, bytes: [UInt8]? = nil,
        headers: HTTPFields = [:]
    ) async throws -> Answer {
        let uri = path.hasPrefix("/") ? path : "/api/2.0/mlflow/" + path
        let buffer = bytes.map { ByteBuffer(bytes: $0) } ?? body.map { ByteBuffer(string: $0.text()) }
        return try await execute(uri: uri, method: method, headers: headers, body: buffer) { response in
            Answer(status: response.status, bytes: Array(response.body.readableBytesView), headers: response.headers)
        }
    }
}
