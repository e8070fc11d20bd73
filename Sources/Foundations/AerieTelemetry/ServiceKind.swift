/// The way by which a request came in, as the labels `service` and `method` tell it.
public enum ServiceKind: Int, Sendable, CaseIterable {
    /// Seldon's `/api/v1.0/predictions`.
    case predictions
    /// The Open Inference Protocol over HTTP. Counted as `predictions`, as Seldon's executor does.
    case infer
    /// The Open Inference Protocol over gRPC.
    case grpc
    /// The same as a stream of requests.
    case grpcStream
    /// Explanations, by whichever path over HTTP.
    case explain

    public var service: String {
        switch self {
        case .predictions, .infer: "predictions"
        case .grpc: "/inference.GRPCInferenceService/ModelInfer"
        case .grpcStream: "/inference.GRPCInferenceService/ModelStreamInfer"
        case .explain: "explain"
        }
    }

    public var method: String {
        switch self {
        case .predictions, .infer, .explain: "post"
        case .grpc, .grpcStream: "unary"
        }
    }

    /// Whether the server is to blame for an answer with this code, not the caller: 5xx, and gRPC's codes that mean the
    /// same.
    public func isServerError(code: Int) -> Bool { OutcomeCode.isServerError(OutcomeCode.index(of: code, self), self) }

    var isGRPC: Bool { self == .grpc || self == .grpcStream }
}

/// The outcomes that a loop tells apart: a dense index for each HTTP status that the data plane answers, and one for
/// each gRPC code.
enum OutcomeCode {
    static let count = 24

    private static let httpStatuses = [
        200, 400, 401, 403, 404, 405, 406, 408, 409, 411, 413, 414, 415, 422, 429, 431, 499, 500, 501, 502, 503, 504,
        505, 204,
    ]
    private static let grpcNames = [
        "OK", "Canceled", "Unknown", "InvalidArgument", "DeadlineExceeded", "NotFound", "AlreadyExists",
        "PermissionDenied", "ResourceExhausted", "FailedPrecondition", "Aborted", "OutOfRange", "Unimplemented",
        "Internal", "Unavailable", "DataLoss", "Unauthenticated",
    ]

    /// A status that is not in the list counts as the plainest of its class: 200, 400 or 500.
    static func index(of code: Int, _ kind: ServiceKind) -> Int {
        if kind.isGRPC { return (0..<17).contains(code) ? code : 2 }
        if code == 200 { return 0 }
        for index in 1..<httpStatuses.count where httpStatuses[index] == code { return index }
        return switch code {
        case ..<400: 0
        case 400..<500: 1
        default: 17
        }
    }

    static func label(_ index: Int, _ kind: ServiceKind) -> String {
        kind.isGRPC ? grpcNames[index] : String(httpStatuses[index])
    }

    /// Whether the platform is to blame, not the caller: 5xx, or the gRPC codes that mean the same.
    static func isServerError(_ index: Int, _ kind: ServiceKind) -> Bool {
        kind.isGRPC ? [2, 4, 13, 14, 15].contains(index) : httpStatuses[index] >= 500
    }
}
