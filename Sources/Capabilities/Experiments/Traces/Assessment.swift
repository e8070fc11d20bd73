public import AerieCore
public import AerieJSON

public struct AssessmentID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

/// What a person, a program or a model thinks of a trace: feedback, or what was expected of it.
public struct Assessment: Hashable, Sendable {
    public var id: AssessmentID
    public var traceID: TraceID
    public var name: String
    public var createTime: Timestamp
    public var lastUpdateTime: Timestamp
    /// The older assessment that this one takes the place of.
    public var overrides: AssessmentID?
    /// False once another took its place.
    public var isValid: Bool
    /// Who said it, the value, the reasons and whatever else the client wrote; given back as it came.
    public var content: JSONObject

    public init(
        id: AssessmentID, traceID: TraceID, name: String, createTime: Timestamp, lastUpdateTime: Timestamp,
        overrides: AssessmentID? = nil, isValid: Bool = true, content: JSONObject = [:]
    ) {
        self.id = id
        self.traceID = traceID
        self.name = name
        self.createTime = createTime
        self.lastUpdateTime = lastUpdateTime
        self.overrides = overrides
        self.isValid = isValid
        self.content = content
    }
}

extension AerieError {
    /// In MLflow's words, whichever store looked for it.
    public static func missing(_ trace: TraceID) -> AerieError { .notFound("Trace with ID '\(trace)' not found.") }

    public static func missing(_ assessment: AssessmentID, of trace: TraceID) -> AerieError {
        .notFound("Assessment with ID '\(assessment)' not found for trace '\(trace)'")
    }

    /// An identifier that a client chose is that of another trace's assessment.
    public static func taken(_ assessment: AssessmentID) -> AerieError {
        AerieError(
            .alreadyExists, "An assessment with ID '\(assessment)' belongs to another trace",
            reason: "assessment.exists")
    }

    public static var tooManyAssessments: AerieError {
        AerieError(
            .resourceExhausted, "A trace has at most \(TraceLimits.assessmentsPerTrace) assessments",
            reason: "trace.assessments")
    }
}
