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
