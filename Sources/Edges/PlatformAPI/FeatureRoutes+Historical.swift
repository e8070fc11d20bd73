import AerieCore
import Features
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

extension FeatureRoutes {
    /// `POST …/historical?features=view:feature,…` (or `service=…`), with the file of entity rows as its body.
    ///
    /// Further parameters are `full_feature_names`, `timestamp`, `format` of the body and `output` (parquet or csv).
    /// The answer is the table as a file; both are streamed, and stand on the disk meanwhile.
    func historical(_ request: Request) async throws -> Response {
        let query = request.uri.queryParameters
        func text(_ name: String) -> String? { query[name[...]].map { String($0) }.flatMap { $0.isEmpty ? nil : $0 } }
        func format(_ name: String) throws(AerieError) -> HistoricalRequest.Format {
            guard let word = text(name) else { return .parquet }
            guard let format = HistoricalRequest.Format(rawValue: word.lowercased()) else {
                throw .invalid(name, "'\(word)' is neither parquet nor csv")
            }
            return format
        }
        let features = (text("features") ?? "").split(separator: ",").map { String($0) }
        let service = text("service")
        guard features.isEmpty != (service == nil) else {
            throw AerieError.invalid("features", "name either features or a service")
        }
        let (entityFormat, outputFormat) = (try format("format"), try format("output"))
        let place = folder + "/" + UUID().uuidString
        let (input, output) = ("\(place).in.\(entityFormat.rawValue)", "\(place).out.\(outputFormat.rawValue)")
        defer { try? FileManager.default.removeItem(atPath: input) }
        try await Self.save(request.body, as: input)
        let historical = HistoricalRequest(
            selection: .init(
                references: features, service: service,
                usesFullNames: try PlatformRoutes<Context>.flag("full_feature_names", request)),
            entityFile: input, entityFormat: entityFormat, timestamp: text("timestamp"), output: output,
            outputFormat: outputFormat)
        let rows: Int64
        do { rows = try await store.historical(historical, namespace: Self.namespace(request)) } catch {
            try? FileManager.default.removeItem(atPath: output)
            throw error
        }
        return try Self.answer(output, format: outputFormat, rows: rows)
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
            throw AerieError.invalid("", "the request has no body; send the file of entity rows as Parquet or CSV")
        }
    }

    /// The file as the answer. It is opened and unlinked, so that nothing stays whatever becomes of the connection.
    private static func answer(_ path: String, format: HistoricalRequest.Format, rows: Int64) throws -> Response {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw AerieError(.internal, "the table that was written is not there")
        }
        try? FileManager.default.removeItem(atPath: path)
        let size = try file.seekToEnd()
        try file.seek(toOffset: 0)
        let content = OpenTable(file)
        let type = format == .csv ? "text/csv" : "application/vnd.apache.parquet"
        var headers: HTTPFields = [.contentType: type]
        if let name = HTTPField.Name("x-aerie-rows") { headers[name] = "\(rows)" }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody(contentLength: Int(size)) { writer in
                while let piece = try content.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                try await writer.finish(nil)
            })
    }
}

/// `@unchecked Sendable`: read by the one task that writes the answer.
private final class OpenTable: @unchecked Sendable {
    private let file: FileHandle
    init(_ file: FileHandle) { self.file = file }
    func next() throws -> Data? {
        guard let data = try file.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
        return data
    }
    deinit { try? file.close() }
}
