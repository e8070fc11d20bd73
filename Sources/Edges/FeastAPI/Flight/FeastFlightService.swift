import AerieArrow
public import AerieCore
public import AerieGRPC
import AerieJSON
import AerieWire
public import Datasets
import Features
import Foundation
import NIOCore

/// `arrow.flight.protocol.FlightService`, as `offline_store: {type: remote}` of Feast's Python SDK 0.67 calls it.
///
/// A question and its table of rows come up one stream and the answer goes down it (`DoExchange`), or the rows are left
/// here first and the answer is fetched (`DoPut`, `GetFlightInfo`, `DoGet`), as older SDKs do. Tables lie in files
/// meanwhile; a result is sent a piece at a time, as the client takes it.
public struct FeastFlightService: Sendable {
    /// The longest message that a client may send: some rows of its table, as its Arrow library cuts them.
    public static let messageBytes = 256 << 20

    /// Rows of a result that are in memory at a time.
    private static let window: Int64 = 50_000
    /// The table of an engine that what came up the stream is in.
    static let upload = "upload"

    let registry: FeastRegistry
    let folder: String
    let engine: @Sendable () throws(AerieError) -> any ArrowSQLEngine
    let waiting = WaitingTables()
    let writes = OneAtATime()

    /// - Parameters:
    ///   - folder: where tables lie while they are made.
    ///   - engine: a new engine for each call.
    public init(
        registry: FeastRegistry, folder: String,
        engine: @escaping @Sendable () throws(AerieError) -> any ArrowSQLEngine
    ) {
        self.registry = registry
        self.folder = folder
        self.engine = engine
    }

    public var service: GRPCService {
        GRPCService(name: "arrow.flight.protocol.FlightService", methods: [
            "DoExchange": streaming(.bidirectional) { exchange throws(AerieError) in
                let upload = try await receive(exchange)
                try await answer(upload.command, upload, to: exchange)
            },
            "DoPut": streaming(.bidirectional) { exchange throws(AerieError) in
                try await put(try await receive(exchange))
            },
            "GetFlightInfo": unary { message throws(AerieError) in Self.info(message) },
            "DoGet": streaming(.serverStreaming) { exchange throws(AerieError) in
                guard let message = await exchange.next() else { return }
                let ticket = try ProtobufMessage(bytes: message.readableBytesView).data(1) ?? []
                let command = try FlightCommand(ticket)
                try await answer(command, try await fetch(command), to: exchange)
            },
            "ListActions": streaming(.serverStreaming) { _ throws(AerieError) in },
            "ListFlights": streaming(.serverStreaming) { _ throws(AerieError) in },
        ])
    }

    /// Flight's clients find Feast's exception by these words before it.
    private static func failure(_ error: AerieError) -> GRPCFailure {
        let failure = FeastFailure(error)
        return GRPCFailure(status: failure.status, message: "Flight error: " + failure.detail)
    }

    private func streaming(
        _ kind: GRPCMethod.Kind, _ body: @escaping @Sendable (GRPCExchange) async throws(AerieError) -> Void
    ) -> GRPCMethod {
        .streaming(kind) { exchange throws(GRPCFailure) in
            do throws(AerieError) { try await body(exchange) } catch { throw Self.failure(error) }
        }
    }

    private func unary(
        _ body: @escaping @Sendable (ProtobufMessage) async throws(AerieError) -> ProtobufMessage
    ) -> GRPCMethod {
        .unary { message, _ throws(GRPCFailure) in
            do throws(AerieError) {
                return ByteBuffer(
                    bytes: try await body(try ProtobufMessage(bytes: message.readableBytesView)).bytes)
            } catch { throw Self.failure(error) }
        }
    }

    // MARK: Coming up

    /// What came up a stream: the question, and rows in an engine's table `upload`.
    struct Upload: Sendable {
        var command: FlightCommand
        /// `nil` where the client had no rows to send, and sent one column of letters instead.
        var columns: [String]?
        var engine: any ArrowSQLEngine
    }

    private func receive(_ exchange: GRPCExchange) async throws(AerieError) -> Upload {
        var upload: Upload?
        var schema: ArrowSchema?
        var dictionaries: [Int64: ArrowBatch] = [:]
        while let message = await exchange.next() {
            let data = try FlightData(message)
            if let bytes = data.command, upload == nil {
                upload = Upload(command: try FlightCommand(bytes), columns: nil, engine: try engine())
            }
            guard let engine = upload?.engine else {
                throw .invalid("flight_descriptor", "the first message needs a descriptor with a command")
            }
            switch data.message {
            case nil: continue
            case .schema(let found)?:
                schema = found
                if found.fields.map(\.name) == ["key"] { continue }
                upload?.columns = found.fields.map(\.name)
                // Dictionaries come later, and an empty table needs none.
                var plain = found
                for index in plain.fields.indices {
                    if let values = plain.fields[index].dictionary?.values.first {
                        plain.fields[index].format = values.format
                        plain.fields[index].children = values.children
                        plain.fields[index].dictionary = nil
                    }
                }
                try await engine.append(.empty(of: plain), of: plain, to: Self.upload)
            case .dictionary(let id, let values, let isDelta)?:
                guard !isDelta else { throw AerieError(.unsupported, "dictionaries that grow are not read") }
                dictionaries[id] = values
            case .batch(var batch)?:
                guard let schema else { throw .invalid("", "rows came before their schema") }
                if upload?.columns == nil { continue }
                batch.dictionaries = dictionaries
                try await engine.append(batch, of: schema, to: Self.upload)
            }
        }
        guard var upload else { throw .invalid("flight_descriptor", "the call ended without a command") }
        try await dropIndexes(of: &upload)
        return upload
    }

    /// The parts of an index of pandas that have no name, which pyarrow sends as columns, are none to their owner.
    private func dropIndexes(of upload: inout Upload) async throws(AerieError) {
        guard let columns = upload.columns else { return }
        let kept = columns.filter { !($0.hasPrefix("__index_level_") && $0.hasSuffix("__")) }
        guard !kept.isEmpty, kept.count < columns.count else { return }
        for column in columns where !kept.contains(column) {
            try await upload.engine.execute("ALTER TABLE \(Self.upload) DROP COLUMN \(sqlIdentifier(column))")
        }
        upload.columns = kept
    }

    // MARK: Going down

    private func answer(
        _ command: FlightCommand, _ upload: Upload, to exchange: GRPCExchange
    ) async throws(AerieError) {
        switch command.api {
        case "get_historical_features":
            try await withFile { path throws(AerieError) in
                try await historical(command, upload, output: path)
                try await send(path, engine: upload.engine, to: exchange)
            }
        case "pull_latest_from_table_or_query", "pull_all_from_table_or_query":
            let sql = try await pull(
                command, isLatest: command.api.hasPrefix("pull_latest"), engine: upload.engine)
            try await withFile { path throws(AerieError) in
                try await upload.engine.execute("COPY (\(sql)) TO \(sqlString(path)) (FORMAT parquet)")
                try await send(path, engine: upload.engine, to: exchange)
            }
        case "get_table_column_names_and_types_from_data_source":
            let table = try await columns(command, engine: upload.engine)
            try await send(table, withSchema: true, to: exchange)
        default: throw AerieError(.unsupported, "Unknown read API: \(command.api)")
        }
    }

    /// A file for the time of the body.
    func withFile(_ body: (String) async throws(AerieError) -> Void) async throws(AerieError) {
        let path = "\(folder)/flight-\(UUID().uuidString).parquet"
        defer { try? FileManager.default.removeItem(atPath: path) }
        try await body(path)
    }

    private func send(
        _ path: String, engine: any ArrowSQLEngine, to exchange: GRPCExchange
    ) async throws(AerieError) {
        let place = "FROM read_parquet(\(sqlString(path)), file_row_number = true) WHERE file_row_number"
        guard case .int(let rows)? = try await engine.query("SELECT count(*) FROM read_parquet(\(sqlString(path)))")
            .columns.first?[0]
        else { throw AerieError(.internal, "the SQL engine counts no rows") }
        var start: Int64 = 0
        repeat {
            let table = try await engine.arrow(
                """
                SELECT * EXCLUDE (file_row_number) \(place) >= \(start) AND file_row_number < \(start + Self.window)
                ORDER BY file_row_number
                """)
            try await send(table, withSchema: start == 0, to: exchange)
            start += Self.window
        } while start < rows
    }

    private func send(
        _ table: ArrowTable, withSchema: Bool, to exchange: GRPCExchange
    ) async throws(AerieError) {
        do throws(GRPCFailure) {
            if withSchema { try await exchange.send(FlightData.buffer(header: try Self.header(table.schema))) }
            for batch in table.batches {
                try await exchange.send(FlightData.buffer(header: ArrowMessage.header(batch), body: batch.body))
            }
        } catch { throw AerieError(.cancelled, error.message) }
    }

    private static func header(_ schema: ArrowSchema) throws(GRPCFailure) -> [UInt8] {
        do throws(AerieError) { return try ArrowMessage.header(schema) } catch { throw failure(error) }
    }
}

extension ArrowBatch {
    /// No rows of these columns.
    static func empty(of schema: ArrowSchema) -> ArrowBatch {
        var batch = ArrowBatch(length: 0)
        func add(_ field: ArrowField) {
            batch.nodes.append(.init(length: 0, nullCount: 0))
            let count = ArrowLayout(format: field.format)?.bufferCount ?? 0
            batch.buffers += [Range<Int>](repeating: 0..<0, count: count)
            for child in field.children { add(child) }
        }
        for field in schema.fields { add(field) }
        return batch
    }
}
