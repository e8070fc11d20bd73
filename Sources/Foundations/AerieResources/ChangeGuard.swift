public import AerieCore

/// Refuses changes that would break what other resources rely on, and says what declarations rely on in vain.
///
/// Asked before each change is written; another change may come in between, so a guard prevents mistakes, not races.
public protocol ChangeGuard: Sendable {
    /// - Parameters:
    ///   - old: as it is; `nil` for a new one.
    ///   - new: as it is to be; `nil` for a deletion.
    /// - Throws: `failedPrecondition` with everything that stands in the way.
    func check(
        from old: Resource?, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError)

    /// Whom a change concerns, a line for each thing that changes: asked before the change is made, by who only wants
    /// to know.
    func impact(
        from old: Resource, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) -> [String]

    /// What a change costs that whoever makes it may not expect, a line for each thing: said when it is made, or would
    /// be.
    func cost(
        from old: Resource, to new: Resource, in store: any ResourceListing
    ) async throws(AerieError) -> [String]

    /// What declarations name and is not there, a line for each thing: asked once for all that are applied together,
    /// when they are written, or would be.
    func missing(
        from resources: [Resource], in store: any ResourceListing
    ) async throws(AerieError) -> [ResourceKey: [String]]
}

extension ChangeGuard {
    public func check(
        from old: Resource?, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) {}

    public func missing(
        from resources: [Resource], in store: any ResourceListing
    ) async throws(AerieError) -> [ResourceKey: [String]] { [:] }

    public func impact(
        from old: Resource, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) -> [String] { [] }

    public func cost(
        from old: Resource, to new: Resource, in store: any ResourceListing
    ) async throws(AerieError) -> [String] { [] }
}
