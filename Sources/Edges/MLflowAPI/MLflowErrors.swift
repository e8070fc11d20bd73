import AerieCore
import HTTPTypes

extension AerieError {
    /// Marks a name that is taken when an experiment is renamed, which has a code of its own there.
    static let takenByRename = "rename.taken"

    /// MLflow's name of the error and the status that goes with it. `RESOURCE_ALREADY_EXISTS` is a 400 there.
    var mlflow: (code: String, status: HTTPResponse.Status) {
        switch code {
        case .invalidArgument: ("INVALID_PARAMETER_VALUE", .badRequest)
        // Its server calls a wrong state a wrong parameter, and its INVALID_STATE would be a 500.
        case .failedPrecondition: ("INVALID_PARAMETER_VALUE", .badRequest)
        case .notFound: ("RESOURCE_DOES_NOT_EXIST", .notFound)
        case .alreadyExists where reason == Self.takenByRename: ("BAD_REQUEST", .badRequest)
        case .alreadyExists: ("RESOURCE_ALREADY_EXISTS", .badRequest)
        case .conflict: ("RESOURCE_CONFLICT", .conflict)
        case .permissionDenied: ("PERMISSION_DENIED", .forbidden)
        case .unauthenticated: ("UNAUTHENTICATED", .unauthorized)
        // Not a 429, after which its client tries again for minutes before it says why.
        case .resourceExhausted where reason == Self.fullDisk: ("RESOURCE_EXHAUSTED", .init(code: 507))
        case .resourceExhausted: ("REQUEST_LIMIT_EXCEEDED", .tooManyRequests)
        // Clients try again for minutes what is answered with a 500; this does not come back by itself.
        case .dataLoss where reason == "artifact.damaged": ("DATA_LOSS", .gone)
        case .unsupported: ("NOT_IMPLEMENTED", .notImplemented)
        case .unavailable, .deadlineExceeded, .cancelled: ("TEMPORARILY_UNAVAILABLE", .serviceUnavailable)
        default: ("INTERNAL_ERROR", .internalServerError)
        }
    }
}
