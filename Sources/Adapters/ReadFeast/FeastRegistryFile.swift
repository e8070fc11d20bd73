public import AerieCore
import AerieWire
import Foundation
import GRDB

/// The registry of a Feast repository as one message, `feast.core.Registry`: as its file holds it, or put together from
/// the tables of its SQL registry in SQLite. The file is only read; Feast may go on using it.
public enum FeastRegistryFile {
    /// A table of the SQL registry (Feast 0.67): the column with the message, the message's field in `Registry`, and
    /// where it has its project: in a field of its spec, or of its own if `spec` is 0. One that an older version does
    /// not have is passed over.
    fileprivate struct Table {
        var name: String
        var column: String
        var field: Int
        var spec = 1
        var project = 2
    }

    private static let tables = [
        Table(name: "projects", column: "project_proto", field: 17, project: 0),
        Table(name: "entities", column: "entity_proto", field: 1, project: 9),
        Table(name: "data_sources", column: "data_source_proto", field: 12, spec: 0, project: 21),
        Table(name: "feature_views", column: "feature_view_proto", field: 6),
        Table(name: "stream_feature_views", column: "feature_view_proto", field: 14),
        Table(name: "on_demand_feature_views", column: "feature_view_proto", field: 8),
        Table(name: "label_views", column: "feature_view_proto", field: 19),
        Table(name: "feature_services", column: "feature_service_proto", field: 7),
        Table(name: "saved_datasets", column: "saved_dataset_proto", field: 11),
        Table(name: "validation_references", column: "validation_reference_proto", field: 13, spec: 0, project: 3),
        Table(name: "permissions", column: "permission_proto", field: 16),
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
                for table in tables where try db.tableExists(table.name) {
                    isRegistry = true
                    for row in try Row.fetchAll(db, sql: "SELECT \(table.column), project_id FROM \(table.name)") {
                        let message = try table.message([UInt8](row[0] as Data), project: row[1])
                        registry.append(table.field, message: message)
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

extension FeastRegistryFile.Table {
    /// The message with its project, which the SQL registry keeps beside some of them only.
    fileprivate func message(_ bytes: [UInt8], project name: String) throws(AerieError) -> ProtobufMessage {
        var message = try ProtobufMessage(bytes: bytes)
        guard project > 0 else { return message }
        if spec == 0 {
            if message.text(project).isEmpty { message.set(project, text: name) }
        } else if var inner = try message.message(spec), inner.text(project).isEmpty {
            inner.set(project, text: name)
            message.set(spec, message: inner)
        }
        return message
    }
}
