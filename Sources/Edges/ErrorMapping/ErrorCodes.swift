public import AerieCore

extension AerieError {
    /// That of its code; 507 where the disk is full.
    public var httpStatus: Int { reason == Self.fullDisk ? 507 : code.httpStatus }
}

/// The one table from `AerieError.Code` to what protocols and the shell call it.
extension AerieError.Code {
    public var httpStatus: Int {
        switch self {
        case .invalidArgument: 400
        case .unauthenticated: 401
        case .permissionDenied: 403
        case .notFound: 404
        case .alreadyExists, .conflict: 409
        case .failedPrecondition: 412
        case .resourceExhausted: 429
        case .cancelled: 499
        case .unsupported: 501
        case .unavailable: 503
        case .deadlineExceeded: 504
        default: 500
        }
    }

    /// The number of the canonical gRPC status.
    public var grpcStatus: Int {
        switch self {
        case .cancelled: 1
        case .invalidArgument: 3
        case .deadlineExceeded: 4
        case .notFound: 5
        case .alreadyExists: 6
        case .permissionDenied: 7
        case .resourceExhausted: 8
        case .failedPrecondition: 9
        case .conflict: 10
        case .unsupported: 12
        case .unavailable: 14
        case .dataLoss: 15
        case .unauthenticated: 16
        default: 13
        }
    }

    /// What a command ends with: 2 wrong input, 3 not found, 4 refused, 5 try again later, 1 all else.
    public var exitStatus: Int32 {
        switch self {
        case .invalidArgument: 2
        case .notFound: 3
        case .alreadyExists, .conflict, .failedPrecondition, .permissionDenied, .unauthenticated: 4
        case .unavailable, .deadlineExceeded, .resourceExhausted: 5
        default: 1
        }
    }
}
