import AerieCore
import AerieGRPC
import AerieJSON
import ErrorMapping

/// An error of Feast's own classes: its SDK makes the exception again from the JSON in the status' words.
struct FeastFailure: Error, Hashable {
    /// Of gRPC's numbers.
    var status: Int
    /// A class of the module `feast.errors`.
    var type: String
    var message: String

    private static let prefix = "feast."

    /// The reason of an error that is to be of that class.
    static func reason(_ type: String) -> String { prefix + type }

    /// The class that an error of Aerie's stands for.
    init(_ error: AerieError) {
        status = error.code.grpcStatus
        message = error.message
        type =
            switch error.reason {
            case "feature_view.unknown": "FeatureViewNotFoundException"
            case "feature_view.version.unknown": "FeatureViewVersionNotFound"
            case "feature_service.unknown": "FeatureServiceNotFoundException"
            case "push_source.unknown": "PushSourceNotFoundException"
            case "feature.collision": "FeatureNameCollisionError"
        case "entity_rows.column": "FeastEntityDFMissingColumnsError"
            case let reason? where reason.hasPrefix(Self.prefix): String(reason.dropFirst(Self.prefix.count))
            default: "FeastError"
            }
    }

    /// What the status' words are. A client takes at most 8 KiB of headers.
    var detail: String {
        let words = message.utf8.count > 2000 ? String(message.prefix(1900)) + "…" : message
        let detail: JSONValue = ["module": "feast.errors", "class": .string(type), "message": .string(words)]
        return detail.text()
    }

    var grpc: GRPCFailure { GRPCFailure(status: status, message: detail) }
}
