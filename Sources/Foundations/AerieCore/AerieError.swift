/// What went wrong, in terms that every edge can translate.
///
/// A capability throws `AerieError`; an adapter turns its driver's errors into one at its own boundary; an edge maps
/// `code` once, through `ErrorMapping`, to the codes of its protocol. The message is written for the person who sent
/// the input: it names the field, the limit and the way out. `cause` is for the log and never crosses an edge.
public struct AerieError: Error, Sendable {
    public var code: Code
    /// One sentence for the person who asked, without a trailing newline.
    public var message: String
    /// A stable, machine-readable name of the case, such as `run.deleted`; `nil` where the code says enough.
    public var reason: String?
    /// Where in the input the problems are. Several problems of one input are reported together.
    public var details: [Detail]
    /// The error underneath, for the log only.
    public var cause: (any Error)?

    public init(
        _ code: Code, _ message: String, reason: String? = nil, details: [Detail] = [], cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.reason = reason
        self.details = details
        self.cause = cause
    }
}

extension AerieError {
    /// The kind of failure. The names and meanings are those of the canonical gRPC status codes.
    ///
    /// A struct around a private enum, so that a case can be added without breaking a `switch` elsewhere.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String, Sendable {
            case invalidArgument, notFound, alreadyExists, failedPrecondition, conflict, permissionDenied
            case unauthenticated, resourceExhausted, deadlineExceeded, unavailable, unsupported, dataLoss, cancelled
            case `internal`
        }

        private let value: Value
        private init(_ value: Value) { self.value = value }

        /// The input is wrong whatever the state of the system.
        public static let invalidArgument = Code(.invalidArgument)
        public static let notFound = Code(.notFound)
        public static let alreadyExists = Code(.alreadyExists)
        /// The input is right, but not in the present state (logging to a deleted run).
        public static let failedPrecondition = Code(.failedPrecondition)
        /// Somebody else changed it in between; read again and retry.
        public static let conflict = Code(.conflict)
        public static let permissionDenied = Code(.permissionDenied)
        public static let unauthenticated = Code(.unauthenticated)
        /// A limit, a quota or a full queue.
        public static let resourceExhausted = Code(.resourceExhausted)
        public static let deadlineExceeded = Code(.deadlineExceeded)
        /// Not now; the same call may succeed later.
        public static let unavailable = Code(.unavailable)
        /// Known, and not carried out by this build or on this machine.
        public static let unsupported = Code(.unsupported)
        /// Stored bytes are not what was written.
        public static let dataLoss = Code(.dataLoss)
        public static let cancelled = Code(.cancelled)
        /// A defect of Aerie's own.
        public static let `internal` = Code(.internal)

        public var description: String { value.rawValue }
    }

    /// One problem at one place of the input.
    public struct Detail: Hashable, Sendable {
        /// The path of the field, such as `spec.predictors[0].traffic`, or empty for the whole input.
        public var field: String
        /// What is wrong there, and what would be right.
        public var problem: String
        /// The place in a text input, counted from 1.
        public var line: Int?
        public var column: Int?
        /// The place in a binary input, in bytes from its beginning.
        public var offset: Int?

        public init(field: String, problem: String, line: Int? = nil, column: Int? = nil, offset: Int? = nil) {
            self.field = field
            self.problem = problem
            self.line = line
            self.column = column
            self.offset = offset
        }
    }
}

extension AerieError {
    /// A field of the input is wrong: `path` names it, `problem` says why and what would be right.
    public static func invalid(_ path: String, _ problem: String, line: Int? = nil, offset: Int? = nil) -> AerieError {
        AerieError(
            .invalidArgument, path.isEmpty ? problem : "\(path): \(problem)",
            details: [Detail(field: path, problem: problem, line: line, offset: offset)])
    }

    public static func notFound(_ what: String) -> AerieError { AerieError(.notFound, what) }

    /// There is no room left, which asking again does not change.
    public static func diskFull(_ message: String, cause: (any Error)? = nil) -> AerieError {
        AerieError(.resourceExhausted, message, reason: fullDisk, cause: cause)
    }

    /// The reason of `diskFull`.
    public static let fullDisk = "disk.full"

    /// All the problems of one input as one error; `nil` if there are none.
    public static func invalid(_ summary: String, problems: [Detail]) -> AerieError? {
        guard let first = problems.first else { return nil }
        let rest = problems.count > 1 ? " (and \(problems.count - 1) more)" : ""
        let place = first.field.isEmpty ? "" : "\(first.field): "
        let line = first.line.map { "line \($0): " } ?? ""
        return AerieError(.invalidArgument, "\(summary): \(line)\(place)\(first.problem)\(rest)", details: problems)
    }
}

extension AerieError: CustomStringConvertible {
    public var description: String {
        let reason = reason.map { " [\($0)]" } ?? ""
        let cause = cause.map { " (cause: \($0))" } ?? ""
        return "\(code)\(reason): \(message)\(cause)"
    }
}
