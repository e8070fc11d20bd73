import AerieResources
import Streaming

/// The members of a feature view's `spec` that say what is computed over a stream.
enum StreamFields {
    static let stream = FieldSchema.object([
        Field("type", .choice(["push", "kafka"]), required: true),
        Field("brokers", .string),
        Field("topic", .string),
        Field("group", .string),
        Field("consumers", .integer(1...64)),
        Field("options", .map(.any)),
        Field("timestampField", .string),
        Field("eventId", .string),
        Field("allowedLateness", .any),
        Field("to", .choice([PushTarget.online, .both].map(\.rawValue))),
    ])

    static let aggregations = FieldSchema.array(
        .object([
            Field("name", .string, required: true),
            Field("function", .choice(AggregateFunction.allCases.map(\.rawValue)), required: true),
            Field("column", .string),
            Field("window", .any, required: true),
            Field("slide", .any),
            Field("dtype", .string),
            Field("description", .string),
            Field("default", .any),
            Field("tags", .map(.string)),
        ]))
}
