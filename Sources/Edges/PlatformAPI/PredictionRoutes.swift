import AerieCore
import AerieJSON
import Features
import Foundation
import HTTPTypes
public import Hummingbird
import NIOCore
public import Predictions

/// Logged predictions below `/api/aerie/v1/predictions`: read, exported, and told what really came of them.
public struct PredictionRoutes<Context: RequestContext>: Sendable {
    private let log: PredictionLog
    /// Where a table stands while it is sent.
    private let folder: String

    private static var mostRows: Int { 10_000 }
    private static var mostLabels: Int { 100_000 }

    public init(log: PredictionLog, folder: String) {
        self.log = log
        self.folder = folder
    }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let group = router.group("api/aerie/v1/predictions").add(middleware: JSONErrorMiddleware())
        group.get { request, _ in try await list(request) }
        group.get("export") { request, _ in try await export(request) }
        group.post("labels") { request, _ in try await label(request) }
    }

    /// `?deployment=&namespace=&version=&puid=&since=&until=&labelled=&limit=`; the newest first.
    private func list(_ request: Request) async throws -> Response {
        let query = try Self.query(request)
        await log.write()
        let rows = try await log.store.list(query)
        let predictions = rows.map { row -> JSONValue in
            var object = row.record.json().object ?? [:]
            object["time"] = .string(FeatureTime.text(row.record.time))
            object["label"] = row.label.map { .double($0) } ?? .null
            object["reward"] = row.reward.map { .double($0) } ?? .null
            return .object(object)
        }
        return Response(json: ["predictions": .array(predictions)])
    }

    /// The same predictions as a Parquet file, all of them, the oldest first.
    private func export(_ request: Request) async throws -> Response {
        let query = try Self.query(request)
        await log.write()
        let path = "\(folder)/\(UUID().uuidString).export.parquet"
        let rows: Int64
        do { rows = try await log.store.export(query, to: path) } catch {
            try? FileManager.default.removeItem(atPath: path)
            throw error
        }
        return try TableFile.response(path, type: "application/vnd.apache.parquet", rows: rows)
    }

    /// `{"labels": [{"puid": "…", "row": 0, "value": 1}]}`
    private func label(_ request: Request) async throws -> Response {
        let body = try await PlatformRoutes<Context>.body(request)
        let json: JSONValue
        do { json = try JSONValue.parse(Array(body.utf8)) } catch { throw error.asAerieError(in: "request body") }
        guard let labels = json["labels"]?.array else {
            throw AerieError.invalid("labels", "is required: {\"labels\": [{\"puid\": \"…\", \"value\": 1}]}")
        }
        guard labels.count <= Self.mostLabels else {
            throw AerieError.invalid("labels", "has \(labels.count) entries; send at most \(Self.mostLabels) at once")
        }
        var read: [(puid: String, row: Int, value: Double)] = []
        for (index, label) in labels.enumerated() {
            guard let puid = label["puid"]?.string else {
                throw AerieError.invalid("labels[\(index)].puid", "is required, as text")
            }
            let value = label["value"]?.double ?? label["value"]?.bool.map { $0 ? 1 : 0 }
            guard let value else { throw AerieError.invalid("labels[\(index)].value", "is required, as a number") }
            read.append((puid, Int(clamping: label["row"]?.int ?? 0), value))
        }
        try await log.label(read)
        return Response(json: ["labels": .int(Int64(read.count))])
    }

    private static func query(_ request: Request) throws(AerieError) -> PredictionQuery {
        let parameters = request.uri.queryParameters
        func text(_ name: String) -> String? {
            parameters[name[...]].map { String($0) }.flatMap { $0.isEmpty ? nil : $0 }
        }
        func time(_ name: String) throws(AerieError) -> Int64? {
            guard let word = text(name) else { return nil }
            guard let time = FeatureTime.parse(word) else {
                throw .invalid(name, "\"\(word.prefix(40))\" is no moment; write 2026-03-01T12:00:00Z")
            }
            return time
        }
        let limit = text("limit").map { Int($0) ?? 0 } ?? 100
        guard (1...mostRows).contains(limit) else {
            throw .invalid("limit", "is not from 1 to \(mostRows); /predictions/export gives all")
        }
        return PredictionQuery(
            namespace: text("namespace"), deployment: text("deployment"), version: text("version"), puid: text("puid"),
            since: try time("since"), until: try time("until"),
            isLabelled: try PlatformRoutes<Context>.flag("labelled", request), limit: limit)
    }
}
