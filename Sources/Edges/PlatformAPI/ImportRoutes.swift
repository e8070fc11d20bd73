public import AerieCore
import AerieJSON
import HTTPTypes
public import Hummingbird
public import Imports
import NIOCore
import Synchronization

/// Bringing another tracking server's data over: `POST /api/aerie/v1/imports`.
///
/// The body is `{"from": "/srv/mlflow.db", "artifacts": "/srv/mlartifacts", "dry_run": false}`, the paths being this
/// machine's; `from` may be a folder `mlruns`, or the address of a server that runs, such as `http://mlflow:5000`. The
/// answer is lines of JSON, one for each step, and at the end either `report` or `error`. A client that hangs up ends
/// the import between two steps; asking again goes on from there. One import runs at a time.
public struct ImportRoutes<Context: RequestContext>: Sendable {
    /// Opens what `from` names.
    public typealias Opening = @Sendable (_ from: String, _ artifacts: String?) throws(AerieError) -> any ImportSource

    private let imports: ImportService
    private let open: Opening
    private let isRunning = Running()

    public init(imports: ImportService, open: @escaping Opening) {
        self.imports = imports
        self.open = open
    }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let api = router.group("api/aerie/v1").add(middleware: JSONErrorMiddleware())
        api.post("imports") { request, _ in try await run(request) }
    }

    private func run(_ request: Request) async throws -> Response {
        let text = try await PlatformRoutes<Context>.body(request)
        let object: JSONObject
        do throws(JSONError) { object = try JSONValue.parse(text).object ?? [:] } catch {
            throw error.asAerieError(in: "the request body")
        }
        let known = ["from", "artifacts", "dry_run"]
        for key in object.keys where !known.contains(key) {
            throw AerieError.invalid(key, "unknown member; there are \(known.joined(separator: ", "))")
        }
        guard let from = object["from"]?.string, !from.isEmpty else {
            throw AerieError.invalid("from", "names the MLflow server: its address, or its database file such as /srv/mlflow.db")
        }
        guard let isDryRun = (object["dry_run"] ?? false).bool else {
            throw AerieError.invalid("dry_run", "must be true or false")
        }
        let source = try open(from, object["artifacts"]?.string)
        guard isRunning.begin() else {
            throw AerieError(.failedPrecondition, "another import is under way; wait for it", reason: "import.running")
        }
        return .lines { tell throws(AerieError) in
            defer { isRunning.end() }
            let report = try await imports.run(from: source, isDryRun: isDryRun) { event throws(AerieError) in
                guard !Task.isCancelled else { throw AerieError(.cancelled, "the client has gone") }
                tell(Self.json(event))
            }
            return Self.json(report)
        }
    }

    private static func json(_ event: ImportEvent) -> JSONValue {
        switch event {
        case .began(let counts):
            var object: JSONObject = ["type": "began", "experiments": .int(Int64(counts.experiments))]
            object["runs"] = counts.runs.map { .int(Int64($0)) }
            object["logged_models"] = counts.loggedModels.map { .int(Int64($0)) }
            object["traces"] = counts.traces.map { .int(Int64($0)) }
            object["registered_models"] = counts.registeredModels.map { .int(Int64($0)) }
            return .object(object)
        case .progress(let kind, let done, let added):
            return [
                "type": "progress", "kind": .string(kind.rawValue), "done": .int(Int64(done)),
                "added": .int(Int64(added)),
            ]
        case .warning(let text): return ["type": "warning", "message": .string(text)]
        }
    }

    private static func json(_ report: ImportReport) -> JSONValue {
        func object(_ counts: [ImportKind: Int]) -> JSONValue {
            var object = JSONObject()
            for kind in ImportKind.allCases { object[kind.rawValue] = .int(Int64(counts[kind] ?? 0)) }
            return .object(object)
        }
        return [
            "type": "report", "dry_run": .bool(report.isDryRun), "added": object(report.added),
            "present": object(report.present), "bytes": .int(report.bytes),
            "warnings": .array(report.warnings.map { .string($0) }),
        ]
    }

    private final class Running: Sendable {
        private let flag = Mutex(false)
        func begin() -> Bool {
            flag.withLock { flag in
                defer { flag = true }
                return !flag
            }
        }
        func end() { flag.withLock { $0 = false } }
    }
}
