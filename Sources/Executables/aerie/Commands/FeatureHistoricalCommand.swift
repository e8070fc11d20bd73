import AerieCore
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// `aerie features historical`: training data as it was known at each row's time.
struct FeatureHistoricalCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "historical", abstract: "Join features to entity rows as they were known at each row's time.",
        discussion: """
            Every entity row is kept, in its order. A row without a value that was known then, and not older than the \
            view's ttl, has nulls.
            """)

    @Option(help: "A Parquet or CSV file with the keys and the time of each row.") var entityRows: String
    @OptionGroup var selection: FeatureSelectionOptions
    @Option(help: "The column of the rows' time; found by its type otherwise.") var timestamp: String?
    @Option(name: .shortAndLong, help: "The file to write, .parquet or .csv.") var output: String
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let rows = try await download()
            ClientOutput.note("\(rows) rows written to \(output)")
        }
    }

    private static func format(_ path: String, _ option: String) throws(AerieError) -> String {
        if path.hasSuffix(".csv") { return "csv" }
        if path.hasSuffix(".parquet") { return "parquet" }
        throw .invalid(option, "'\(path)' ends neither with .parquet nor with .csv")
    }

    private func download() async throws -> String {
        var query = [
            ("format", try Self.format(entityRows, "--entity-rows")), ("output", try Self.format(output, "--output")),
            ("full_feature_names", "\(selection.fullFeatureNames)"), ("namespace", namespace.namespace ?? "default"),
        ]
        if let features = selection.features { query.append(("features", features)) }
        if let service = selection.service { query.append(("service", service)) }
        if let timestamp { query.append(("timestamp", timestamp)) }
        guard let file = FileHandle(forReadingAtPath: entityRows) else {
            throw AerieError.notFound("there is no file \(entityRows)")
        }
        defer { try? file.close() }
        let client = try server.client()
        var request = client.request(.POST, "/api/aerie/v1/features/historical", query, nil)
        request.headers.add(name: "content-type", value: "application/octet-stream")
        let source = FilePieces(file)
        request.body = .stream(source, length: .known(Int64(try file.seekToEnd())))
        try file.seek(toOffset: 0)
        let response = try await client.execute(request, deadline: .distantFuture)
        if response.status.code >= 400 { throw await PlatformClient.error(response) }
        try await save(response, client)
        return response.headers.first(name: "x-aerie-rows") ?? "?"
    }

    /// Under another name first, so that the file is whole or not there.
    private func save(_ response: HTTPClientResponse, _ client: PlatformClient) async throws {
        let part = output + ".part"
        guard FileManager.default.createFile(atPath: part, contents: nil),
            let file = FileHandle(forWritingAtPath: part)
        else { throw AerieError(.permissionDenied, "\(output) cannot be written") }
        do {
            for try await piece in response.body { try file.write(contentsOf: Data(piece.readableBytesView)) }
            try file.close()
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw client.unreachable(error)
        }
        guard rename(part, output) == 0 else { throw AerieError(.permissionDenied, "\(output) cannot be written") }
    }
}

/// A file in pieces of 1 MiB. `@unchecked Sendable`: read by the one task that sends it.
private struct FilePieces: AsyncSequence, @unchecked Sendable {
    typealias Element = ByteBuffer
    private let file: FileHandle
    init(_ file: FileHandle) { self.file = file }

    struct AsyncIterator: AsyncIteratorProtocol {
        let file: FileHandle
        mutating func next() async throws -> ByteBuffer? {
            guard let data = try file.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
            return ByteBuffer(bytes: data)
        }
    }

    func makeAsyncIterator() -> AsyncIterator { AsyncIterator(file: file) }
}
