public import AerieCore

/// A feature view as the online store keeps it.
public struct OnlineView: Sendable, Hashable {
    public var project: String
    public var name: String
    /// The names of the features; a row's values are in this order.
    public var features: [String]
    /// For each feature the murmur3 hash of `view:feature`, by which it is kept.
    public let fields: [UInt32]
    /// For a view whose features are computed at each read.
    public let windows: OnlineWindows?
    /// The project and the name, each with a zero behind it: the beginning of the view's rows in a store of one key
    /// space.
    public let path: [UInt8]

    public init(project: String, name: String, features: [String], windows: OnlineWindows? = nil) {
        self.windows = windows
        self.project = project
        self.name = name
        self.features = features
        fields = features.map { murmur3("\(name):\($0)".utf8) }
        path = Array(project.utf8) + [0] + Array(name.utf8) + [0]
    }
}

/// What is known of an entity at a moment.
public struct OnlineRow: Sendable {
    /// From `EntityKey`.
    public var key: [UInt8]
    /// When the values were true, in microseconds since 1970.
    public var time: Int64
    /// When the values were written down, likewise; 0 where nobody says. Breaks ties of `time`.
    public var created: Int64
    /// By the view's features; `nil` where this row says nothing of a feature, whose last value then stays.
    public var values: [FeatureValue?]

    public init(key: [UInt8], time: Int64, created: Int64 = 0, values: [FeatureValue?]) {
        self.key = key
        self.time = time
        self.created = created
        self.values = values
    }
}

/// What a store has of an entity.
public struct OnlineRecord: Sendable, Hashable {
    public var time: Int64
    /// One for each feature that was asked for; null where there is none.
    public var values: [FeatureValue]

    public init(time: Int64, values: [FeatureValue]) {
        self.time = time
        self.values = values
    }
}

/// Some features of some entities.
public struct OnlineRead: Sendable {
    public var view: OnlineView
    /// Places in `view.features`.
    public var features: [Int]
    public var keys: [[UInt8]]

    public init(view: OnlineView, features: [Int], keys: [[UInt8]]) {
        self.view = view
        self.features = features
        self.keys = keys
    }
}

/// A row as a scan shows it. The bytes are lent until the call that they were given to returns.
public struct ScannedRow {
    /// From `EntityKey`.
    public var key: UnsafeRawBufferPointer
    /// Microseconds since 1970.
    public var time: Int64
    /// The protobuf values of the features that were asked for; empty for a null.
    public var values: [UnsafeRawBufferPointer]

    public init(key: UnsafeRawBufferPointer, time: Int64, values: [UnsafeRawBufferPointer]) {
        self.key = key
        self.time = time
        self.values = values
    }
}

/// A store in this process, whose reads take microseconds and wait for nobody.
public protocol ImmediateOnlineStore: OnlineStore {
    /// `read` on the caller's thread.
    func readNow(_ reads: [OnlineRead]) throws(AerieError) -> [[OnlineRecord?]]
}

/// Keeps the newest values of every entity, for reads in microseconds.
///
/// Contract: what `write` has counted survives a crash of the process and is seen by every later read. Of two rows of
/// one entity and view the one with the greater `(time, created)` stays, whichever is written first; equal ones
/// replace each other, so that writing again changes nothing. Each row is written whole or not at all; after an error
/// some rows of the batch may be written, and writing it again is safe. Reads never wait for writes. Safe to call from
/// any task.
public protocol OnlineStore: Sendable {
    /// One array for each read, in it one record for each key; `nil` for an entity that is not known.
    /// - Throws: `unavailable` if the store cannot be reached.
    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]]
    /// - Returns: how many rows were newer than what was there, or equal.
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int
    /// Shows every entity of a view, in no order, each as it was at one moment between the call and its end. An entity
    /// that is written or moved meanwhile may be shown twice. Ends early when its task is cancelled.
    /// - Parameter features: places in `view.features`.
    /// - Throws: what `body` throws; `cancelled`; `unavailable` if the store cannot be reached.
    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError)
    /// Removes rows whose `time` is before a moment (microseconds).
    /// - Returns: how many went.
    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int
    /// Removes everything of a view.
    func drop(_ view: OnlineView) async throws(AerieError) -> Int
    /// Bytes and rows that are kept, of all views.
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64)
}
