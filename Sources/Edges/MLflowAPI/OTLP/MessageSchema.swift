import AerieCore
import AerieJSON

/// What a protobuf message looks like, so far as it is read here.
final class MessageSchema: Sendable {
    enum Kind: Sendable {
        case text, bytes, bool, signed, unsigned, fixed32, fixed64, double
        case message(@Sendable () -> MessageSchema)
    }

    struct Field: Sendable {
        let name: String
        let kind: Kind
        let isList: Bool
        /// `start_time_unix_nano` as JSON writes it: `startTimeUnixNano`.
        let camelName: String
        /// Identifiers are hexadecimal in OpenTelemetry's JSON, and base64 in protobuf's.
        var isIdentifier: Bool { name == "trace_id" || name == "span_id" || name == "parent_span_id" }

        init(_ name: String, _ kind: Kind, isList: Bool = false) {
            self.name = name
            self.kind = kind
            self.isList = isList
            let words = name.split(separator: "_")
            camelName = words.enumerated().map { index, word in
                index == 0 ? String(word) : word.prefix(1).uppercased() + word.dropFirst()
            }.joined()
        }
    }

    let fields: [UInt64: Field]
    init(_ fields: [UInt64: Field]) { self.fields = fields }
}

/// The messages of OpenTelemetry's trace protocol by their published numbers; what is not named here is left out.
extension MessageSchema {
    static let request: MessageSchema = MessageSchema([
        1: Field("resource_spans", .message { resourceSpans }, isList: true)
    ])

    private static let resourceSpans: MessageSchema = MessageSchema([
        1: Field("resource", .message { resource }), 2: Field("scope_spans", .message { scopeSpans }, isList: true),
    ])
    private static let resource: MessageSchema = MessageSchema([1: attributes])
    private static let scopeSpans: MessageSchema = MessageSchema([2: Field("spans", .message { span }, isList: true)])

    private static let span: MessageSchema = MessageSchema([
        1: Field("trace_id", .bytes), 2: Field("span_id", .bytes), 3: Field("trace_state", .text),
        4: Field("parent_span_id", .bytes), 5: Field("name", .text), 6: Field("kind", .unsigned),
        7: Field("start_time_unix_nano", .fixed64), 8: Field("end_time_unix_nano", .fixed64),
        9: attributes, 10: Field("dropped_attributes_count", .unsigned),
        11: Field("events", .message { event }, isList: true), 12: Field("dropped_events_count", .unsigned),
        13: Field("links", .message { link }, isList: true), 14: Field("dropped_links_count", .unsigned),
        15: Field("status", .message { status }), 16: Field("flags", .fixed32),
    ])
    private static let event: MessageSchema = MessageSchema([
        1: Field("time_unix_nano", .fixed64), 2: Field("name", .text), 3: attributes,
        4: Field("dropped_attributes_count", .unsigned),
    ])
    private static let link: MessageSchema = MessageSchema([
        1: Field("trace_id", .bytes), 2: Field("span_id", .bytes), 3: Field("trace_state", .text), 4: attributes,
        5: Field("dropped_attributes_count", .unsigned), 6: Field("flags", .fixed32),
    ])
    private static let status: MessageSchema = MessageSchema([2: Field("message", .text), 3: Field("code", .unsigned)])

    private static let attributes: Field = Field("attributes", .message { keyValue }, isList: true)
    private static let keyValue: MessageSchema = MessageSchema([
        1: Field("key", .text), 2: Field("value", .message { anyValue }),
    ])
    private static let anyValue: MessageSchema = MessageSchema([
        1: Field("string_value", .text), 2: Field("bool_value", .bool), 3: Field("int_value", .signed),
        4: Field("double_value", .double), 5: Field("array_value", .message { array }),
        6: Field("kvlist_value", .message { list }), 7: Field("bytes_value", .bytes),
    ])
    private static let array: MessageSchema = MessageSchema([1: Field("values", .message { anyValue }, isList: true)])
    private static let list: MessageSchema = MessageSchema([1: Field("values", .message { keyValue }, isList: true)])
}
