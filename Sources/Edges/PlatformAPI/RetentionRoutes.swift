public import AerieCore
import AerieJSON
import Experiments
import HTTPTypes
public import Hummingbird
import NIOCore
public import Retention

/// Deleting for good over HTTP: `POST /api/aerie/v1/gc`.
///
/// The body is `{"older_than_seconds": 2592000, "experiments": ["1"], "runs": ["…"], "dry_run": true}`, of which all is
/// optional. The answer is lines of JSON, one for each step, and at the end either `report` or `error`; a client that
/// hangs up ends the pass between two steps.
public struct RetentionRoutes<Context: RequestContext>: Sendable {
    private let retention: RetentionService
    private let clock: any WallClock

    public init(retention: RetentionService, clock: any WallClock = SystemClock()) {
        self.retention = retention
        self.clock = clock
    }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let api = router.group("api/aerie/v1").add(middleware: JSONErrorMiddleware())
        api.post("gc") { request, _ in try await collect(request) }
    }

    private func collect(_ request: Request) async throws -> Response {
        let (selection, isDryRun) = try await selection(request)
        return Response(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: ResponseBody { writer in
                do {
                    let report = try await retention.run(selection, isDryRun: isDryRun) { event throws(AerieError) in
                        do { try await writer.write(Self.line(Self.json(event))) } catch {
                            throw AerieError(.cancelled, "the client has gone", cause: error)
                        }
                    }
                    try await writer.write(Self.line(Self.json(report)))
                } catch let error as AerieError {
                    if error.code != .cancelled { try await writer.write(Self.line(error.platformJSON)) }
                }
                try await writer.finish(nil)
            })
    }

    private func selection(_ request: Request) async throws -> (PurgeSelection, isDryRun: Bool) {
        let text = try await PlatformRoutes<Context>.body(request)
        var object = JSONObject()
        if text.contains(where: { !$0.isWhitespace }) {
            do throws(JSONError) { object = try JSONValue.parse(text).object ?? [:] } catch {
                throw error.asAerieError(in: "the request body")
            }
        }
        let known = ["older_than_seconds", "experiments", "runs", "dry_run"]
        for key in object.keys where !known.contains(key) {
            throw AerieError.invalid(key, "unknown member; there are \(known.joined(separator: ", "))")
        }
        let seconds = object["older_than_seconds"] ?? .int(30 * 86_400)
        guard let age = seconds.int, (0...10_000_000_000).contains(age) else {
            throw AerieError.invalid("older_than_seconds", "must be a whole number of seconds from 0 on")
        }
        guard let isDryRun = (object["dry_run"] ?? false).bool else {
            throw AerieError.invalid("dry_run", "must be true or false")
        }
        let experiments = try Self.names(object, "experiments")
        for id in experiments where Int64(id) == nil {
            throw AerieError.invalid("experiments", "\"\(id.prefix(40))\" is no experiment's number")
        }
        // What was deleted in this very millisecond counts as deleted before now.
        let time = Timestamp(milliseconds: clock.now().milliseconds - age * 1000 + 1)
        return (
            PurgeSelection(
                deletedBefore: time, experiments: experiments.map { ExperimentID($0) },
                runs: try Self.names(object, "runs").map { RunID($0) }), isDryRun
        )
    }

    private static func names(_ object: JSONObject, _ key: String) throws(AerieError) -> [String] {
        guard let list = (object[key] ?? []).array, list.count <= 1000 else {
            throw .invalid(key, "must be a list of at most 1000 strings")
        }
        var names: [String] = []
        for element in list {
            guard let name = element.string, !name.isEmpty else { throw .invalid(key, "must be a list of strings") }
            names.append(name)
        }
        return names
    }

    private static func line(_ value: JSONValue) -> ByteBuffer { ByteBuffer(string: value.text() + "\n") }

    private static func json(_ event: RetentionEvent) -> JSONValue {
        switch event {
        case .candidate(let one, let bytes, let holder):
            return [
                "type": "candidate", "kind": .string(one.kind.rawValue), "id": .string(one.id),
                "experiment": .string(one.experiment.text), "name": .string(one.name),
                "location": .string(one.location), "deleted_time": .int(one.deletedTime.milliseconds),
                "bytes": .int(bytes), "holder": holder.map { .string($0) } ?? .null,
            ]
        case .removed(let kind, let count):
            return ["type": "removed", "kind": .string(kind.rawValue), "count": .int(Int64(count))]
        case .filesDeleted(let files, let bytes):
            return [
                "type": "files", "kind": .string(files.kind.rawValue), "id": .string(files.owner),
                "location": .string(files.location), "bytes": .int(bytes),
            ]
        case .kept(let files, let why):
            return [
                "type": "kept", "kind": .string(files.kind.rawValue), "id": .string(files.owner),
                "location": .string(files.location), "why": .string(why),
            ]
        case .skipped(let kind, let id, let why):
            return ["type": "skipped", "kind": .string(kind.rawValue), "id": .string(id), "why": .string(why)]
        }
    }

    private static func json(_ report: RetentionReport) -> JSONValue {
        var counts = JSONObject()
        for kind in PurgeKind.allCases { counts[kind.rawValue] = .int(Int64(report.counts[kind] ?? 0)) }
        return [
            "type": "report", "dry_run": .bool(report.isDryRun), "counts": .object(counts),
            "bytes": .int(report.bytes), "kept": .int(Int64(report.kept)), "skipped": .int(Int64(report.skipped)),
        ]
    }
}
