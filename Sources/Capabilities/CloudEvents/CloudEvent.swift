public import AerieCore

/// Something that happened, as CloudEvents 1.0 describes it (github.com/cloudevents/spec, v1.0.2).
public struct CloudEvent: Sendable, Hashable {
    /// Unique among the events of one source.
    public var id: String
    public var source: String
    public var type: String
    public var time: Timestamp
    /// Attributes beyond the standard's own: names of lower-case letters and digits.
    public var extensions: [Extension]
    /// The media type of `data`.
    public var contentType: String
    public var data: [UInt8]

    public struct Extension: Sendable, Hashable {
        public var name: String
        public var value: String

        public init(_ name: String, _ value: String) {
            self.name = name
            self.value = value
        }
    }

    public init(
        id: String, source: String, type: String, time: Timestamp, extensions: [Extension] = [], contentType: String,
        data: [UInt8]
    ) {
        self.id = id
        self.source = source
        self.type = type
        self.time = time
        self.extensions = extensions
        self.contentType = contentType
        self.data = data
    }

    /// The attributes as header fields of HTTP's binary mode, beside `Content-Type`.
    public var fields: [(name: String, value: String)] {
        var fields = [
            ("ce-specversion", "1.0"), ("ce-id", id), ("ce-source", source), ("ce-type", type),
            ("ce-time", time.iso8601Milliseconds),
        ]
        fields += extensions.map { ("ce-" + $0.name, $0.value) }
        return fields.map { (name: $0.0, value: Self.escaped($0.1)) }
    }

    /// By the HTTP binding: visible ASCII stays, but for quotes and percent signs; all else is percent-encoded UTF-8.
    private static func escaped(_ value: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in value.utf8 {
            if byte > 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "%") {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}

/// Who takes events to their receivers. Declared by CloudEvents; an adapter speaks HTTP.
public protocol CloudEventSender: Sendable {
    /// Sends one event in binary mode. Several are sent at once.
    /// - Throws: `unavailable` or `deadlineExceeded` if trying again may help; anything else for good.
    func send(_ event: CloudEvent, to url: String) async throws(AerieError)
    /// Ends every connection. Called once, after the last event.
    func close() async
}
