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

    /// Whom a change concerns, a line for each thing that changes: asked before the change is made, by who only wants
    /// to know.
    func impact(
        from old: Resource, to new: Resource?, in store: any ResourceStore
    ) async throws(AerieError) -> [String]
}

extension ChangeGuard {
    public func impact(
        from old: Resource, to new: Resource?, in store: any ResourceStore
    ) async throws(AerieError) -> [String] { [] }
}
