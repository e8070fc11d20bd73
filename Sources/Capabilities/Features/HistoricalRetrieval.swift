public import AerieCore
import Datasets

/// What a point-in-time table is made of.
public struct HistoricalRequest: Sendable {
    public enum Format: String, Sendable, CaseIterable { case parquet, csv }

    public var selection: FeatureStore.Selection
    /// The file of entity rows: keys, the time, and whatever else is to stand in the result.
    public var entityFile: String
    public var entityFormat: Format
    /// The column of the rows' time; `nil` for the only column that is a time, else `event_timestamp`.
    public var timestamp: String?
    public var output: String
    public var outputFormat: Format

    public init(
        selection: FeatureStore.Selection, entityFile: String, entityFormat: Format, timestamp: String? = nil,
        output: String, outputFormat: Format
    ) {
        self.selection = selection
        self.entityFile = entityFile
        self.entityFormat = entityFormat
        self.timestamp = timestamp
        self.output = output
        self.outputFormat = outputFormat
    }
}

extension FeatureStore {
    /// Writes a table with each entity row and the features as they were known at its time; see `PointInTimeJoin`.
    ///
    /// Memory is the engine's: what does not fit spills. Cancelling the task ends the work; the output is then to be
    /// thrown away.
    /// - Returns: the rows written, as many as there are entity rows.
    /// - Throws: `notFound` or `invalidArgument` for names and columns that do not fit.
    public func historical(
        _ request: HistoricalRequest, namespace: String = "default"
    ) async throws(AerieError) -> Int64 {
        let catalog = try await catalog(namespace)
        let references: [FeatureReference]
        if let service = request.selection.service {
            references = try catalog.service(service).references
        } else {
            references = try request.selection.references.map { text throws(AerieError) in
                try FeatureReference(checking: text)
            }
        }
        guard !references.isEmpty else { throw .invalid("features", "No features specified for retrieval") }
        let engine = try engine()
        let file = sqlString(request.entityFile)
        let relation = request.entityFormat == .csv ? "read_csv_auto(\(file))" : "read_parquet(\(file))"
        let columns = try await Self.columns(relation, engine)
        let join = PointInTimeJoin(
            entities: relation, entityColumns: columns.map(\.name), timestamp: try Self.time(request, columns),
            views: try await Self.views(references, catalog, columns.map(\.name), engine),
            usesFullNames: request.selection.usesFullNames)
        let options = request.outputFormat == .csv ? "FORMAT csv, HEADER" : "FORMAT parquet, COMPRESSION zstd"
        let written = try await engine.query(
            "COPY (\(try join.sql())) TO \(sqlString(request.output)) (\(options))")
        guard case .int(let count)? = written.columns.first?[0] else { return 0 }
        return count
    }

    private static func columns(
        _ relation: String, _ engine: any SQLEngine
    ) async throws(AerieError) -> [(name: String, type: String)] {
        do { return try await engine.columns(of: relation) } catch {
            guard error.code == .invalidArgument else { throw error }
            throw .invalid("entity rows", "the file cannot be read: \(error.message)")
        }
    }

    private static func time(
        _ request: HistoricalRequest, _ columns: [(name: String, type: String)]
    ) throws(AerieError) -> String {
        if let name = request.timestamp { return name }
        let times = columns.filter { $0.type.hasPrefix("TIMESTAMP") }.map(\.name)
        if times.contains("event_timestamp") { return "event_timestamp" }
        if times.count == 1 { return times[0] }
        throw .invalid(
            "timestamp",
            times.isEmpty
                ? "the entity rows have no column of type TIMESTAMP; there are \(columns.map(\.name).joined(separator: ", "))"
                : "the entity rows have several times, \(times.joined(separator: ", ")): say which counts")
    }

    private static func views(
        _ references: [FeatureReference], _ catalog: FeatureCatalog, _ columns: [String], _ engine: any SQLEngine
    ) async throws(AerieError) -> [PointInTimeJoin.View] {
        var views: [PointInTimeJoin.View] = []
        for reference in references {
            if let at = views.firstIndex(where: { $0.definition.name == reference.view }) {
                if !views[at].features.contains(reference.feature) { views[at].features.append(reference.feature) }
                continue
            }
            let view = try catalog.view(reference.view)
            let keys = view.joinKeys.map { key in
                (
                    entity: columns.contains(key.name)
                        ? key.name : columns.contains(key.entity) ? key.entity : key.name,
                    view: key.name
                )
            }
            views.append(
                PointInTimeJoin.View(
                    view.definition, keys: keys, features: [reference.feature],
                    timestampField: try await view.definition.timestampColumn(engine)))
        }
        return views
    }
}
