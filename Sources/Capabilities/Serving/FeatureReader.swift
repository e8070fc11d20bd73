public import AerieCore

/// Where deployed models get features from. Declared by Serving, filled by the executable with the feature store.
public protocol FeatureReader: Sendable {
    /// A feature service with all its names resolved, to be read for many requests.
    /// - Parameter service: its name, or `namespace/name` where it stands in another namespace than the deployment.
    /// - Throws: `notFound` for a service that is not there; `invalidArgument` for features that are no numbers.
    func lookup(service: String, namespace: String) async throws(AerieError) -> any FeatureLookup
}

/// One feature service, resolved. Immutable; any thread may read with it at once.
public protocol FeatureLookup: AnyObject, Sendable {
    var service: String { get }
    /// What a request names its entities by, in the order of `EntityRows.keys`.
    var keys: [FeatureKey] { get }
    /// What a request must bring along besides, for features that are computed of it, in the order of
    /// `EntityRows.request`.
    var requestColumns: [String] { get }
    /// The names of the features in the order of `FetchedFeatures.columns`.
    var features: [String] { get }
    /// The same text for two lookups that a request could not tell apart.
    var fingerprint: String { get }

    /// Reads on the caller's thread, in microseconds; `nil` where the store is not in this process.
    /// - Throws: `invalidArgument` for keys of another type, `unavailable` if the store cannot be read.
    func readNow(_ rows: EntityRows) throws(AerieError) -> FetchedFeatures?
    func read(_ rows: EntityRows) async throws(AerieError) -> FetchedFeatures
    /// What stands in for features that could not be read: every value its declared default, and what is computed, of
    /// the defaults and of what the request brings along.
    func defaults(_ rows: EntityRows) -> FetchedFeatures
}

/// A join key, and the entity that it belongs to; requests may name either.
public struct FeatureKey: Sendable, Hashable {
    public var name: String
    public var entity: String

    public init(name: String, entity: String) {
        self.name = name
        self.entity = entity
    }
}

/// The entities of some rows, a column for each join key, and what the request says of them.
public struct EntityRows: Sendable, Hashable {
    public enum Column: Sendable, Hashable {
        /// Also flags, as 0 and 1.
        case integers([Int64])
        case texts([String])
        /// Never of a key.
        case numbers([Double])
    }

    public var count: Int
    /// In the order of the lookup's keys.
    public var keys: [Column]
    /// Whether the answer is to tell how long each view took (`FetchedFeatures.views`).
    public var timesViews = false
    /// In the order of the lookup's request columns.
    public var request: [Column]

    public init(count: Int, keys: [Column], request: [Column] = []) {
        self.count = count
        self.keys = keys
        self.request = request
    }
}

/// Features of some rows, as numbers.
public struct FetchedFeatures: Sendable, Hashable {
    /// For each feature one number a row; NaN where there is none and none is declared as its default.
    public var columns: [[Double]]
    /// For each feature the rows that the store knew nothing for.
    public var missing: [Int]
    /// For each feature the rows whose value was older than its view allows.
    public var stale: [Int]
    /// The reads of single views, where they were asked for. Views that were read in one message share its time.
    public var views: [ViewRead]

    /// When a view was read, on the monotonic clock in nanoseconds.
    public struct ViewRead: Sendable, Hashable {
        public var view: String
        public var start: UInt64
        public var end: UInt64

        public init(view: String, start: UInt64, end: UInt64) {
            self.view = view
            self.start = start
            self.end = end
        }
    }

    public init(columns: [[Double]], missing: [Int], stale: [Int], views: [ViewRead] = []) {
        self.columns = columns
        self.missing = missing
        self.stale = stale
        self.views = views
    }
}
