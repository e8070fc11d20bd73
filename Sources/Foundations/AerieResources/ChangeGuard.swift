public import AerieCore

/// Refuses changes that would break what other resources rely on.
///
/// Asked before each change is written; another change may come in between, so a guard prevents mistakes, not races.
public protocol ChangeGuard: Sendable {
    /// - Parameters:
    ///   - old: as it is; `nil` for a new one.
    ///   - new: as it is to be; `nil` for a deletion.
    /// - Throws: `failedPrecondition` with everything that stands in the way.
    func check(
        from old: Resource?, to new: Resource?, in store: any ResourceStore
    ) async throws(AerieError)
}
