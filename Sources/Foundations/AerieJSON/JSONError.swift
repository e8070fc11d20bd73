public import AerieCore

/// Text that is not JSON, or JSON of another shape than was asked for, with the place.
public struct JSONError: Error, Hashable, Sendable {
    /// Bytes from the beginning of the text.
    public var offset: Int
    /// What stands there, and what was expected.
    public var problem: String

    public init(offset: Int, problem: String) {
        self.offset = offset
        self.problem = problem
    }

    /// The same as an `invalidArgument`.
    /// - Parameter what: names the text, such as `request body` or a file's path.
    public func asAerieError(in what: String) -> AerieError {
        AerieError(
            .invalidArgument, "\(what): \(problem) at byte \(offset)",
            details: [.init(field: what, problem: problem, offset: offset)])
    }
}
