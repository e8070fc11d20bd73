public import AerieCore

/// What a point-in-time table is made of.
public struct HistoricalRequest: Sendable {
    /// Arrow is written, as its file format, which is Feather's version 2; entity rows are read from the other two.
    public enum Format: String, Sendable, CaseIterable {
        case parquet, csv, arrow

        public var mediaType: String {
            switch self {
            case .parquet: "application/vnd.apache.parquet"
            case .csv: "text/csv"
            case .arrow: "application/vnd.apache.arrow.file"
            }
        }
    }

    /// What the rows of the table are.
    public enum Rows: Sendable {
        /// A file with keys, the time, and whatever else is to stand in the result.
        case file(String, Format)
        /// Every entity that has a row from `start` to `end`, both included, as it was known at `end`; in microseconds
        /// since 1970. Without a start, as far back as the oldest value that still counts at the end.
        case range(start: Int64?, end: Int64)
    }

    public var selection: FeatureStore.Selection
    /// By the name that references of the selection use for it: a view under another name, joined by other columns.
    public var projections: [String: FeatureProjection]
    public var rows: Rows
    /// The column of the rows' time; `nil` for `event_timestamp`, else the only column that is a time.
    public var timestamp: String?
    public var output: String
    public var outputFormat: Format

    public init(
        selection: FeatureStore.Selection, projections: [String: FeatureProjection] = [:], rows: Rows,
        timestamp: String? = nil, output: String, outputFormat: Format
    ) {
        self.selection = selection
        self.projections = projections
        self.rows = rows
        self.timestamp = timestamp
        self.output = output
        self.outputFormat = outputFormat
    }

    /// The features that are asked for, in their order.
    /// - Throws: `notFound` for an unknown service; `invalidArgument` if nothing is asked for.
    func references(in catalog: FeatureCatalog) throws(AerieError) -> [FeatureReference] {
        var references: [FeatureReference] = []
        if let service = selection.service {
            references = try catalog.service(service).references
        } else {
            for text in selection.references {
                var reference = try FeatureReference(checking: text)
                if let projection = projections[reference.view] {
                    reference = FeatureReference(
                        view: projection.view, feature: reference.feature, version: reference.version,
                        alias: reference.view, joinKeys: projection.joinKeys)
                }
                references.append(reference)
            }
        }
        guard !references.isEmpty else { throw .invalid("features", "No features specified for retrieval") }
        return references
    }
}

/// How far a retrieval is.
public struct HistoricalProgress: Sendable, Hashable {
    /// The view that is being joined; `nil` while entity rows are read, and while the table is written.
    public var view: String?
    public var step: Int
    public var steps: Int
    /// Of all the work, from 0 to 1.
    public var share: Double
}

/// What a retrieval has written.
public struct HistoricalResult: Sendable {
    public var rows: Int64
    public var columns: [String]
    /// The views that were joined, each once, in order.
    public var views: [FeatureCatalog.View]
    public var references: [FeatureReference]
}
