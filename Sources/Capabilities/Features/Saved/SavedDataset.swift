public import AerieCore

/// A point-in-time table that was saved: what it holds, and what it was made of. Never changed.
public struct SavedDataset: Sendable, Hashable {
    /// A column and what its values are like.
    public struct Column: Sendable, Hashable {
        public var name: String
        /// As DuckDB calls it.
        public var type: String
        public var nulls: Int64
        /// Of the values that are not null; `nil` for columns that are no numbers, or have none.
        public var mean: Double?
        public var deviation: Double?
        public var minimum: Double?
        public var maximum: Double?
    }

    /// A view as it was declared when the table was made.
    public struct View: Sendable, Hashable {
        public var name: String
        public var version: Int
        public var source: String
    }

    /// What the rows were.
    public enum Rows: Sendable, Hashable {
        /// A file of entity rows with that SHA-256.
        case file(digest: String)
        /// Microseconds since 1970.
        case range(start: Int64?, end: Int64)
    }

    public var namespace: String
    public var name: String
    /// From 1.
    public var version: Int
    public var created: Timestamp
    public var actor: String
    public var rows: Int64
    public var table: ArchivedFile
    public var columns: [Column]
    /// `view:feature`, under the names that they have in the table.
    public var features: [String]
    /// The features by the views' own names.
    public var references: [FeatureReference]
    public var service: String?
    public var views: [View]
    public var entities: Rows

    public var title: String { "\(name)/\(version)" }
}
