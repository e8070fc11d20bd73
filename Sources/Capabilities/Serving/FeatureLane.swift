public import AerieCore

/// One event loop's way to features: those in this process at once, others over the loop's own connections.
public protocol FeatureLanes: AnyObject {
    /// - Returns: `nil` for a service that is not in this process, or that only `FeatureLookup` reads.
    func lane(_ lookup: any FeatureLookup) -> (any FeatureLane)?
    /// `FeatureLookup.read` without leaving the loop.
    /// - Parameter completion: called on the loop, once: within the call or later.
    /// - Returns: false, with nothing called, for what only `FeatureLookup` reads.
    func read(
        _ rows: EntityRows, of lookup: any FeatureLookup,
        completion: @escaping (Result<FetchedFeatures, AerieError>) -> Void
    ) -> Bool
}

/// One feature service as one event loop reads it: without allocation once its lists have grown. The same values as
/// `FeatureLookup` gives.
///
/// Contract: entities are named between `begin` and `end`, read with `read`, and the values are there until the next
/// `begin`. On its loop only.
public protocol FeatureLane: AnyObject {
    func begin()
    /// The next entity's value of a key, by its place in the lookup's keys.
    /// - Returns: false if the key's type does not take it; the read is then given up.
    func append(_ number: Int64, key place: Int) -> Bool
    /// The same for a text in UTF-8.
    func append(_ text: UnsafeRawBufferPointer, key place: Int) -> Bool
    /// - Returns: how many entities are named; `nil` if the keys have not as many values each.
    func end() -> Int?
    /// Reads on the caller's thread, in microseconds. Never throws: after a failure every value is its default.
    func read()
    var failure: AerieError? { get }
    /// A feature's number for an entity; NaN where there is neither a value nor a default.
    func value(_ feature: Int, row: Int) -> Double
    /// For each feature the rows that the store knew nothing for.
    var missing: [Int] { get }
    /// For each feature the rows whose value was older than its view allows.
    var stale: [Int] { get }
}
