import AerieCore
import AerieJSON
import Features
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import Synchronization

extension FeatureRoutes {
    func addHistorical(to api: RouterGroup<Context>) {
        api.post("historical") { request, _ in try await historical(request) }
        api.get("historical/:id") { _, context in
            let table = try await tables.take(try context.part("id"))
            return try Self.answer(table)
        }
        api.delete("historical/:id") { _, context in
            try await tables.cancel(try context.part("id"))
            return Response(json: [:])
        }
    }

    /// `POST …/historical?features=view:feature,…` (or `service=…`), with the file of entity rows as its body, or with
    /// `start` and `end` instead of one.
    ///
    /// Further parameters are `alias` (`name=view,key=column,…`, any number), `full_feature_names`, `timestamp`,
    /// `format` of the body (parquet or csv) and `output` (parquet, csv or arrow). The answer is the table as a file;
    /// both are streamed, and stand on the disk meanwhile. With `progress=true` it is lines of JSON: `started` with an
    /// id, by which a DELETE ends the work, `progress`, and at last `report` or `error`; the table is then fetched,
    /// once, by GET with the id. A client that hangs up ends the work too.
    private func historical(_ request: Request) async throws -> Response {
        let id = UUID().uuidString
        let historical = try await Self.read(request, place: "\(folder)/\(id)")
        let namespace = Self.namespace(request)
        let name = request.uri.queryParameters["save"].map { String($0) }
        let actor = PlatformRoutes<Context>.actor(request)
        let made = SavedName()
        /// Before the entity rows are thrown away.
        let work = { @Sendable (tell: @escaping @Sendable (HistoricalProgress) -> Void) async throws(AerieError)
            -> HistoricalResult in
            guard let name else { return try await store.historical(historical, namespace: namespace, progress: tell) }
            let (result, saved) = try await datasets.make(
                name, historical, namespace: namespace, actor: actor
            ) { request throws(AerieError) in
                try await store.historical(request, namespace: namespace, progress: tell)
            }
            made.dataset.withLock { $0 = saved.title }
            return result
        }
        if try PlatformRoutes<Context>.flag("progress", request) {
            return .lines { tell throws(AerieError) in
                tell(["type": "started", "id": .string(id)])
                let result = try await tables.make(id, historical) { () throws(AerieError) in
                    try await work { tell(Self.line($0)) }
                }
                return [
                    "type": "report", "id": .string(id), "rows": .int(result.rows),
                    "dataset": made.dataset.withLock { $0 }.map { .string($0) } ?? .null,
                    "columns": .array(result.columns.map { .string($0) }),
                ]
            }
        }
        _ = try await tables.make(id, historical) { () throws(AerieError) in try await work { _ in } }
        return try Self.answer(try await tables.take(id))
    }

    private static func line(_ progress: HistoricalProgress) -> JSONValue {
        [
            "type": "progress", "view": progress.view.map { .string($0) } ?? .null,
            "step": .int(Int64(progress.step + 1)), "steps": .int(Int64(progress.steps)),
            "share": .double(progress.share),
        ]
    }

    // MARK: The question

    private static func read(_ request: Request, place: String) async throws -> HistoricalRequest {
        let query = request.uri.queryParameters
        func text(_ name: String) -> String? { query[name[...]].map { String($0) }.flatMap { $0.isEmpty ? nil : $0 } }
        func format(_ name: String) throws(AerieError) -> HistoricalRequest.Format {
            guard let word = text(name) else { return .parquet }
            guard let format = HistoricalRequest.Format(rawValue: word.lowercased()) else {
                let words = HistoricalRequest.Format.allCases.map(\.rawValue)
                throw .invalid(name, "'\(word)' is none of \(words.joined(separator: ", "))")
            }
            return format
        }
        let features = (text("features") ?? "").split(separator: ",").map { String($0) }
        let service = text("service")
        guard features.isEmpty != (service == nil) else {
            throw AerieError.invalid("features", "name either features or a service")
        }
        let selection = FeatureStore.Selection(
            references: features, service: service,
            usesFullNames: try PlatformRoutes<Context>.flag("full_feature_names", request))
        let output = try format("output")
        var historical = HistoricalRequest(
            selection: selection, projections: try projections(query[values: "alias"].map { String($0) }),
            rows: .range(start: try time(text("start"), "start"), end: try time(text("end"), "end") ?? 0),
            timestamp: text("timestamp"), output: "\(place).out.\(output.rawValue)", outputFormat: output)
        if text("end") == nil {
            guard text("start") == nil else { throw AerieError.invalid("end", "a range of time needs its end") }
            let format = try format("format")
            guard format != .arrow else {
                throw AerieError.invalid("format", "entity rows are read as parquet or csv")
            }
            let input = "\(place).in.\(format.rawValue)"
            historical.rows = .file(input, format)
            do { try await save(request.body, as: input) } catch {
                try? FileManager.default.removeItem(atPath: input)
                throw error
            }
        }
        return historical
    }

    private static func time(_ text: String?, _ name: String) throws(AerieError) -> Int64? {
        guard let text else { return nil }
        guard let micros = FeatureTime.parse(text) else {
            throw .invalid(name, "'\(text)' is no moment; write 2026-01-31T12:00:00Z")
        }
        return micros
    }

    /// `name=view,key=column,…`.
    private static func projections(_ texts: [String]) throws(AerieError) -> [String: FeatureProjection] {
        var found: [String: FeatureProjection] = [:]
        for text in texts {
            let pairs = text.split(separator: ",").map { part in
                part.split(separator: "=", maxSplits: 1).map { String($0) }
            }
            guard let first = pairs.first, pairs.allSatisfy({ $0.count == 2 }) else {
                throw .invalid("alias", "'\(text)' is no name=view,key=column,…")
            }
            let keys = Dictionary(pairs.dropFirst().map { ($0[0], $0[1]) }, uniquingKeysWith: { $1 })
            found[first[0]] = FeatureProjection(view: first[1], joinKeys: keys)
        }
        return found
    }

    private static func save(_ body: RequestBody, as path: String) async throws {
        guard FileManager.default.createFile(atPath: path, contents: nil),
            let file = FileHandle(forWritingAtPath: path)
        else { throw AerieError(.unavailable, "cannot write to the data folder") }
        defer { try? file.close() }
        var count = 0
        for try await buffer in body {
            count += buffer.readableBytes
            do { try file.write(contentsOf: Data(buffer.readableBytesView)) } catch {
                throw AerieError(
                    .resourceExhausted, "the entity rows cannot be kept: the disk may be full", cause: error)
            }
        }
        guard count > 0 else {
            throw AerieError.invalid(
                "", "the request has no body; send the file of entity rows as Parquet or CSV, or say start and end")
        }
    }

    // MARK: The answer

    static func answer(_ table: RetrievedTables.Table) throws -> Response {
        return try TableFile.response(table.path, type: table.format.mediaType, rows: table.rows)
    }
}

/// The name and version of the dataset that the work has saved.
private final class SavedName: Sendable {
    let dataset = Mutex<String?>(nil)
}
