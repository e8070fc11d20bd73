import AerieCore
import AerieJSON
import ErrorMapping

extension FeastRoutes {
    /// The errors that have a class of their own in Feast, by the reason they have here.
    private static let classes: [String: (name: String, status: Int)] = [
        "feature_view.unknown": ("FeatureViewNotFoundException", 404),
        "feature_view.version.unknown": ("FeatureViewVersionNotFound", 404),
        "feature_service.unknown": ("FeatureServiceNotFoundException", 404),
        "push_source.unknown": ("PushSourceNotFoundException", 422),
        "request_data.missing": ("RequestDataNotFoundInEntityRowsException", 404),
        "feature.collision": ("FeatureNameCollisionError", 400),
    ]

    /// Errors as Feast writes them: a JSON text, which for Feast's own classes holds the JSON of the class.
    static func failure(_ error: AerieError) -> FeastReply {
        if let reason = error.reason, let known = classes[reason] {
            let detail: JSONValue = [
                "module": "feast.errors", "class": .string(known.name), "message": .string(error.message),
            ]
            return json(Array(JSONValue.string(detail.text()).text().utf8), status: known.status)
        }
        if error.reason == "body.missing" {
            let detail: JSONValue = [
                "detail": .array(
                    error.details.map { detail in
                        ["type": "missing", "loc": ["body", .string(detail.field)], "msg": .string(detail.problem)]
                    })
            ]
            return json(Array(detail.text().utf8), status: 422)
        }
        let isNotCarriedOut = ["source.unconnected", "definition.notCarriedOut", "feature_view.disabled"]
        if let reason = error.reason, isNotCarriedOut.contains(reason) {
            return json(Array(JSONValue.string(error.message).text().utf8), status: 422)
        }
        if error.reason == "materialization.running" {
            let body: JSONValue = ["error": .string(error.message), "feature_views": []]
            return json(Array(body.text().utf8), status: 409)
        }
        return json(
            Array(JSONValue.string(error.message).text().utf8), status: error.code.httpStatus)
    }
}
