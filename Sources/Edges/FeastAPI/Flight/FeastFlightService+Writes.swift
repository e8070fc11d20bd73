import AerieArrow
import AerieCore
import AerieResources
import AerieWire
import Datasets
import Features
import Foundation

/// What an offline store is asked to write, and rows that wait for their question.
extension FeastFlightService {
    func put(_ upload: Upload) async throws(AerieError) {
        let command = upload.command
        switch command.api {
        case "offline_write_batch":
            guard let view = try command.texts("feature_view_names").first else {
                throw .invalid("feature_view_names", "feature_view_names list should only have one item")
            }
            try await append(upload, to: view)
        case "validate_data_source":
            let relation = try await shape(json: try command.text("data_source_proto"), engine: upload.engine)
            _ = try await upload.engine.columns(of: relation)
        case "write_logged_features": try await writeLoggedFeatures(upload)
        case "persist": try await persist(upload)
        default:
            let path = "\(folder)/flight-\(UUID().uuidString).parquet"
            if upload.columns != nil {
                try await upload.engine.execute("COPY \(Self.upload) TO \(sqlString(path)) (FORMAT parquet)")
            }
            await waiting.put(command.bytes, upload.columns == nil ? nil : path)
        }
    }

    /// Rows that were left here before, with the question that they are for.
    func fetch(_ command: FlightCommand) async throws(AerieError) -> Upload {
        guard let table = await waiting.take(command.bytes) else { throw .notFound("Flight not found.") }
        var upload = Upload(command: command, columns: nil, engine: try engine())
        if let path = table.path {
            defer { try? FileManager.default.removeItem(atPath: path) }
            try await upload.engine.execute(
                "CREATE TABLE \(Self.upload) AS SELECT * FROM read_parquet(\(sqlString(path)))")
            upload.columns = try await upload.engine.columns(of: Self.upload).map(\.name)
        }
        return upload
    }

    /// `FlightInfo {1: schema, 2: descriptor, 3: endpoint {1: ticket {1: bytes}}, 4: records, 5: bytes}`; the ticket is
    /// the command itself.
    static func info(_ descriptor: ProtobufMessage) -> ProtobufMessage {
        var ticket = ProtobufMessage()
        ticket.set(1, .bytes(descriptor.data(2) ?? []))
        var endpoint = ProtobufMessage()
        endpoint.set(1, message: ticket)
        var info = ProtobufMessage()
        info.set(2, message: descriptor)
        info.append(3, message: endpoint)
        info.set(4, .varint(UInt64(bitPattern: -1)))
        info.set(5, .varint(UInt64(bitPattern: -1)))
        return info
    }

    /// Rows go to the end of the view's source, one Parquet file, which is written anew beside it and takes its place.
    private func append(_ upload: Upload, to name: String) async throws(AerieError) {
        guard let columns = upload.columns else { throw .invalid("", "there are no rows to write") }
        let found = try await registry.resources.list(kind: "FeatureView").filter { $0.metadata.name == name }
        guard let resource = found.first else { throw FeastKind.featureView.missing(name, in: "any") }
        guard found.count == 1 else {
            let projects = found.map(\.metadata.namespace).joined(separator: ", ")
            throw AerieError(
                .failedPrecondition,
                "projects \(projects) have a feature view '\(name)', and the SDK does not say which is meant")
        }
        let view = try FeatureViewDefinition.parse(resource.spec, name: name)
        let path = view.location
        guard view.sourceType == "parquet", !path.contains(where: { "*?[".contains($0) }) else {
            throw AerieError(
                .unsupported, "the source of view '\(name)' is not one Parquet file, which rows could go to")
        }
        try await writes.run { () throws(AerieError) in
            let engine = upload.engine
            let types = try await engine.columns(of: view.relation)
            guard Set(types.map(\.name)) == Set(columns) else {
                throw .invalid(
                    "", "the rows have the columns \(columns.sorted().joined(separator: ", ")), the source of view "
                        + "'\(name)' has \(types.map(\.name).sorted().joined(separator: ", "))")
            }
            let list = types.map { "\(sqlIdentifier($0.name))::\($0.type) AS \(sqlIdentifier($0.name))" }
            let new = "\(path).\(UUID().uuidString).new"
            defer { try? FileManager.default.removeItem(atPath: new) }
            let rows = "SELECT \(list.joined(separator: ", ")) FROM \(Self.upload)"
            try await engine.execute(
                """
                COPY (SELECT * FROM \(view.relation) UNION ALL \(rows))
                TO \(sqlString(new)) (FORMAT parquet)
                """)
            try Self.replace(path, by: new)
        }
    }

    /// Synced before it takes the other's place.
    static func replace(_ path: String, by new: String) throws(AerieError) {
        do {
            let file = try FileHandle(forUpdating: URL(fileURLWithPath: new))
            try file.synchronize()
            try file.close()
        } catch { throw AerieError(.unavailable, "the rows could not be written to the disk", cause: error) }
        guard rename(new, path) == 0 else {
            throw AerieError(.unavailable, "the file \(path) could not be replaced")
        }
    }
}

/// Rows that were left here for a question that comes later, by its command. Only the last few are kept.
actor WaitingTables {
    private static let limit = 16
    private var tables: [(command: [UInt8], path: String?)] = []

    func put(_ command: [UInt8], _ path: String?) {
        tables.append((command, path))
        while tables.count > Self.limit {
            if let old = tables.removeFirst().path { try? FileManager.default.removeItem(atPath: old) }
        }
    }

    func take(_ command: [UInt8]) -> (command: [UInt8], path: String?)? {
        guard let at = tables.firstIndex(where: { $0.command == command }) else { return nil }
        return tables.remove(at: at)
    }
}

/// Work that must not run beside other work of its kind.
actor OneAtATime {
    private var last: Task<Void, Never>?

    func run(_ body: @escaping @Sendable () async throws(AerieError) -> Void) async throws(AerieError) {
        let before = last
        let task = Task { () -> Result<Void, AerieError> in
            await before?.value
            do throws(AerieError) { return .success(try await body()) } catch { return .failure(error) }
        }
        last = Task { _ = await task.value }
        try await task.value.get()
    }
}
