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
        var problems: [AerieError.Detail] = []
        var view = FeatureViewDefinition.read(
            ["source": .object(table.source)], name: table.name, path: "spec", problems: &problems)
        problems.removeAll { !$0.field.hasPrefix("spec.source") }
        if let error = AerieError.invalid("the source '\(table.name)' is wrong", problems: problems) { throw error }
        view.joinKeys = table.columns
        view.timestampField = table.timestampField
        let connections = try await resources.list(kind: "SourceConnection", namespace: namespace)
        view.connect(connections.compactMap { SourceConnection($0) })
        return try await SourcePreparation(view: view, engine: engine, access: access).relation().relation
    }
}
