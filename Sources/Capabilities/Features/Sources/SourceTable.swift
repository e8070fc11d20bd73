public import AerieCore
public import AerieJSON
import AerieResources
public import Datasets

/// Columns of a source that are read by themselves, and not for the features of a view.
public struct SourceTable: Sendable {
    /// In messages.
    public var name: String
    /// As `spec.source` of a feature view.
    public var source: JSONObject
    public var columns: [String]
    public var timestampField: String

    public init(name: String, source: JSONObject, columns: [String], timestampField: String) {
        self.name = name
        self.source = source
        self.columns = columns
        self.timestampField = timestampField
    }
}

extension FeatureStore {
    /// Makes a source readable by an engine, as it is for a view: a database is attached, and of a table of PostgreSQL
    /// the columns are copied.
    /// - Parameter namespace: of the `SourceConnection`s.
    /// - Returns: what stands after `FROM`, for that engine.
    /// - Throws: `invalidArgument` for a source that is wrong; `failedPrecondition` for one that cannot be reached.
    public func relation(
        of table: SourceTable, namespace: String, engine: any SQLEngine
    ) async throws(AerieError) -> String {
        try await preparation(of: table, namespace: namespace, engine: engine).relation().relation
    }

    /// The same with every column of the source, for its types alone: of a table of PostgreSQL no row is read.
    /// - Parameter namespace: `nil` where it is not known; the connection is then looked for in all of them.
    /// - Throws: also `failedPrecondition` if connections of that name differ from namespace to namespace.
    public func shape(
        of table: SourceTable, namespace: String?, engine: any SQLEngine
    ) async throws(AerieError) -> String {
        let preparation = try await preparation(of: table, namespace: namespace, engine: engine)
        guard preparation.view.sourceType == "postgres" else { return try await preparation.relation().relation }
        let (tables, connection) = try preparation.remote()
        let columns = try await tables.columns(of: preparation.view.location, in: connection)
        return "(SELECT \(columns.map { "NULL::\($0.type) AS \(sqlIdentifier($0.name))" }.joined(separator: ", ")) WHERE false)"
    }

    private func preparation(
        of table: SourceTable, namespace: String?, engine: any SQLEngine
    ) async throws(AerieError) -> SourcePreparation {
        var problems: [AerieError.Detail] = []
        var view = FeatureViewDefinition.read(
            ["source": .object(table.source)], name: table.name, path: "spec", problems: &problems)
        problems.removeAll { !$0.field.hasPrefix("spec.source") }
        if let error = AerieError.invalid("the source '\(table.name)' is wrong", problems: problems) { throw error }
        view.joinKeys = table.columns
        view.timestampField = table.timestampField
        let connections = try await resources.list(kind: "SourceConnection", namespace: namespace)
            .compactMap { SourceConnection($0) }.filter { namespace != nil || $0.name == view.connectionName }
        if namespace == nil, Set(connections).count > 1 {
            throw AerieError(
                .failedPrecondition, "namespaces have source connections '\(view.connectionName ?? "")' that differ; give them "
                    + "names of their own")
        }
        view.connect(connections)
        return SourcePreparation(view: view, engine: engine, access: access)
    }
}
