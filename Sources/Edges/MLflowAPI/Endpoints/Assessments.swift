import AerieCore
import AerieJSON
import Experiments
import HTTPTypes

extension Endpoint {
    static let assessments: [Endpoint] = [
        Endpoint(.post, "/mlflow/traces/{trace_id}/assessments") { routes, call throws(AerieError) in
            let stamp = routes.traces.assessmentStamp()
            let made = try call.fields.fields("assessment").assessment(
                stamp.id, of: try call.fields.traceID(), stamp.time)
            return ["assessment": try await routes.traces.assess(made).mlflow]
        },
        Endpoint(.get, "/mlflow/traces/{trace_id}/assessments/{assessment_id}") { routes, call throws(AerieError) in
            let found = try await routes.traces.assessment(
                try call.fields.assessmentID(), of: try call.fields.traceID())
            return ["assessment": found.mlflow]
        },
        Endpoint(.patch, "/mlflow/traces/{trace_id}/assessments/{assessment_id}") { routes, call throws(AerieError) in
            let given = try call.fields.fields("assessment")
            let mask = try call.fields.string("update_mask") ?? ""
            let changed = try await routes.traces.changeAssessment(
                try call.fields.assessmentID(), of: try call.fields.traceID()
            ) { old throws(AerieError) in
                var new = old
                for path in mask.split(separator: ",") { try given.change(&new, String(path)) }
                return new
            }
            return ["assessment": changed.mlflow]
        },
        Endpoint(.delete, "/mlflow/traces/{trace_id}/assessments/{assessment_id}") { routes, call throws(AerieError) in
            try await routes.traces.deleteAssessment(try call.fields.assessmentID(), of: try call.fields.traceID())
            return [:]
        },
    ]
}

extension Fields {
    /// Fields that have places of their own; the rest is kept as it came.
    private static let known: Set<String> = [
        "assessment_id", "assessment_name", "trace_id", "create_time", "last_update_time", "overrides", "valid",
    ]

    func assessmentID() throws(AerieError) -> AssessmentID { AssessmentID(try required("assessment_id")) }

    /// - Parameters:
    ///   - id: for one that has none yet.
    ///   - now: when it was made, unless it says so itself.
    func assessment(
        _ id: AssessmentID, of trace: TraceID, _ now: Timestamp
    ) throws(AerieError) -> Assessment {
        let content = others(than: Self.known)
        guard ["feedback", "expectation", "issue"].contains(where: { content[$0]?.object != nil }) else {
            throw .invalid("assessment", "has neither feedback nor an expectation nor an issue")
        }
        let given = try string("assessment_id").flatMap { $0.isEmpty ? nil : AssessmentID($0) }
        return Assessment(
            id: given ?? id, traceID: trace, name: try required("assessment_name"),
            createTime: try string("create_time").flatMap { Timestamp(rfc3339: $0) } ?? now,
            lastUpdateTime: try string("last_update_time").flatMap { Timestamp(rfc3339: $0) } ?? now,
            overrides: try string("overrides").flatMap { $0.isEmpty ? nil : AssessmentID($0) },
            isValid: try bool("valid") ?? true, content: content)
    }

    /// Those that come with a trace.
    func assessments(
        of trace: TraceID, _ stamp: () -> (id: AssessmentID, time: Timestamp)
    ) throws(AerieError) -> [Assessment] {
        var result: [Assessment] = []
        for given in try objects("assessments") {
            let (id, now) = stamp()
            result.append(try given.assessment(id, of: trace, now))
        }
        return result
    }

    /// Takes over one field that an update names. What an assessment is about cannot change.
    func change(_ assessment: inout Assessment, _ path: String) throws(AerieError) {
        switch path {
        case "assessmentName", "assessment_name": assessment.name = try required("assessment_name")
        case "valid": assessment.isValid = try bool("valid") ?? true
        case "feedback", "expectation", "issue":
            guard assessment.content[path] != nil else {
                throw .invalid("assessment.\(path)", "cannot be set: the assessment is of another kind")
            }
            assessment.content[path] = .object(try fields(path).others(than: []))
        case "rationale": assessment.content["rationale"] = try string("rationale").map { .string($0) }
        case "metadata":
            var metadata = assessment.content["metadata"]?.object ?? [:]
            for entry in try map("metadata") { metadata[entry.key] = .string(entry.value) }
            assessment.content["metadata"] = .object(metadata)
        default:
            throw .invalid(
                "update_mask",
                "names \"\(path.prefix(60))\"; an assessment's name, value, rationale and metadata change")
        }
    }
}

extension Assessment {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "assessment_id": .string(id.text), "assessment_name": .string(name), "trace_id": .string(traceID.text),
            "create_time": .string(createTime.iso8601Milliseconds), "last_update_time": .string(lastUpdateTime.iso8601Milliseconds),
            "valid": .bool(isValid),
        ]
        object.add("overrides", overrides?.text)
        object.members += content.members
        return .object(object)
    }
}
