import AerieCore
import AerieJSON
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

    @Option(help: "A Parquet or CSV file with the keys and the time of each row.") var entityRows: String?
    @Option(help: "Instead of entity rows: every entity with a value since then, …") var start: String?
    @Option(help: "… as it was known at this moment, such as 2026-01-31T00:00:00Z.") var end: String?
    @OptionGroup var selection: FeatureSelectionOptions
    @Option(help: "NAME=VIEW[,KEY=COLUMN…]: a view under another name, joined by other columns; may be repeated.")
    var alias: [String] = []
    @Option(help: "The column of the rows' time; found by its type otherwise.") var timestamp: String?
    @Option(name: .shortAndLong, help: "The file to write: .parquet, .csv, .arrow or .feather.") var output: String
    @Option(help: "Keep the table on the server too, as the next version of a dataset of this name.") var save: String?
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func validate() throws {
        if (entityRows == nil) == (end == nil) { throw ValidationError("give either --entity-rows or --end") }
        if start != nil, end == nil { throw ValidationError("--start needs --end") }
    }

    func run() async throws {
        let fields = ["features", "service", "alias", "timestamp", "start", "end", "output", "save"]
        let flags = Dictionary(uniqueKeysWithValues: fields.map { ($0, "--\($0)") })
        try await ClientOutput.reporting(flags: flags) {
            let rows = try await retrieve()
            ClientOutput.note("\(rows) rows written to \(output)")
        }
    }

    private static func format(
        _ path: String, _ option: String, _ endings: KeyValuePairs<String, String>
    ) throws(AerieError) -> String {
        if let (_, format) = endings.first(where: { path.hasSuffix($0.key) }) { return format }
        let list = endings.map(\.key).joined(separator: ", ")
        throw .invalid(option, "'\(path)' ends with none of \(list), which say the format")
    }

    private static let rowEndings: KeyValuePairs = [".parquet": "parquet", ".csv": "csv"]
    private static let tableEndings: KeyValuePairs = [
        ".parquet": "parquet", ".csv": "csv", ".arrow": "arrow", ".feather": "arrow",
    ]

    /// - Returns: the rows written.
    private func retrieve() async throws -> Int64 {
        var query = [
            ("output", try Self.format(output, "--output", Self.tableEndings)), ("progress", "true"),
            ("full_feature_names", "\(selection.fullFeatureNames)"), ("namespace", namespace.namespace ?? "default"),
        ]
        let more = [
            ("features", selection.features), ("service", selection.service), ("timestamp", timestamp),
            ("start", start), ("end", end), ("save", save),
            ("format", try entityRows.map { try Self.format($0, "--entity-rows", Self.rowEndings) }),
        ]
        for (name, value) in more { if let value { query.append((name, value)) } }
        query += alias.map { ("alias", $0) }
        let client = try server.client()
        var request = client.request(.POST, "/api/aerie/v1/features/historical", query, nil)
        if let entityRows {
            guard let file = FileHandle(forReadingAtPath: entityRows) else {
                throw AerieError.notFound("there is no file \(entityRows)")
            }
            request.headers.add(name: "content-type", value: "application/octet-stream")
            let size = Int64(try file.seekToEnd())
            try file.seek(toOffset: 0)
            request.body = .stream(FilePieces(file), length: .known(size))
        }
        var progress = ProgressLine()
        let report = try await client.follow(request) { line throws(AerieError) in
            guard let share = line["share"]?.double else { return }
            progress.show(line["view"]?.string.map { "joining \($0)" } ?? "", share: share)
        }
        progress.clear()
        let place = "/api/aerie/v1/features/historical/\(report["id"]?.string ?? "")"
        let response = try await client.execute(client.request(.GET, place, [], nil), deadline: .distantFuture)
        if response.status.code >= 400 { throw await PlatformClient.error(response) }
        try await client.save(response, to: output)
        if let dataset = report["dataset"]?.string { ClientOutput.note("saved as dataset \(dataset)") }
        return report["rows"]?.int ?? 0
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
