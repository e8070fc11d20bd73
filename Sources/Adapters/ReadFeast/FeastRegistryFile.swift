public import AerieCore
import AerieWire
import Foundation
import GRDB

/// The registry of a Feast repository as one message, `feast.core.Registry`: as its file holds it, or put together from
/// the tables of its SQL registry in SQLite. The file is only read; Feast may go on using it.
public enum FeastRegistryFile {
    /// Tables of the SQL registry, the column with the message, and the message's field in `Registry` (Feast 0.67). A
    /// table that an older version does not have is passed over.
    private static let tables: [(table: String, column: String, field: Int)] = [
        ("projects", "project_proto", 17), ("entities", "entity_proto", 1), ("data_sources", "data_source_proto", 12),
        ("feature_views", "feature_view_proto", 6), ("stream_feature_views", "feature_view_proto", 14),
        ("on_demand_feature_views", "feature_view_proto", 8), ("label_views", "feature_view_proto", 19),
        ("feature_services", "feature_service_proto", 7), ("saved_datasets", "saved_dataset_proto", 11),
        ("validation_references", "validation_reference_proto", 13), ("permissions", "permission_proto", 16),
    ]

    /// - Throws: `notFound` if there is no such file; `invalidArgument` if it is no registry.
    public static func read(_ path: String) throws(AerieError) -> [UInt8] {
        guard let data = FileManager.default.contents(atPath: path) else {
            throw .notFound("there is no file \(path), or it cannot be read")
        }
        if data.starts(with: Array("SQLite format 3\0".utf8)) { return try tables(of: path) }
        let bytes = [UInt8](data)
        do throws(AerieError) { _ = try ProtobufMessage(bytes: bytes) } catch {
            throw .invalid("", "\(path) is no registry of Feast's: \(error.message)")
        }
        return bytes
    }

    private static func tables(of path: String) throws(AerieError) -> [UInt8] {
        var configuration = GRDB.Configuration()
        configuration.readonly = true
        do {
            return try DatabaseQueue(path: path, configuration: configuration).read { db in
                var registry = ProtobufMessage()
                var isRegistry = false
                for (table, column, field) in tables where try db.tableExists(table) {
                    isRegistry = true
                    for bytes in try Data.fetchAll(db, sql: "SELECT \(column) FROM \(table)") {
                        registry.fields.append(.init(field, .bytes([UInt8](bytes))))
                    }
                }
                guard isRegistry else {
                    throw AerieError.invalid("", "\(path) is a SQLite database without the tables of Feast's registry")
                }
                return registry.bytes
            }
        } catch let error as AerieError { throw error } catch {
            throw AerieError(.invalidArgument, "\(path) cannot be read as a registry: \(error)", cause: error)
        }
    }
}
