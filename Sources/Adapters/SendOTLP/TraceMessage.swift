import AerieCore
import AerieWire
import RequestTracing

/// Spans as OTLP's `ExportTraceServiceRequest`, and what comes back. Fields by their numbers in OpenTelemetry's
/// protocol 1.x, package `opentelemetry.proto.trace.v1`.
enum TraceMessage {
    /// ExportTraceServiceRequest {resource_spans 1}; ResourceSpans {resource 1, scope_spans 2}.
    static func request(
        _ spans: [Span], resource: [Span.Attribute], scope: (name: String, version: String)
    ) -> [UInt8] {
        var described = ProtobufWriter()
        for attribute in resource { described.field(1, bytes: keyValue(attribute)) }
        var named = ProtobufWriter()
        named.field(1, text: scope.name)
        named.field(2, text: scope.version)
        var scoped = ProtobufWriter()
        scoped.field(1, bytes: named.bytes)
        for span in spans { scoped.field(2, bytes: message(span)) }
        var whole = ProtobufWriter()
        whole.field(1, bytes: described.bytes)
        whole.field(2, bytes: scoped.bytes)
        var request = ProtobufWriter()
        request.field(1, bytes: whole.bytes)
        return request.bytes
    }

    /// Span {trace_id 1, span_id 2, trace_state 3, parent_span_id 4, name 5, kind 6, start 7, end 8, attributes 9,
    /// status 15, flags 16}; Status {message 2, code 3}.
    private static func message(_ span: Span) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, bytes: bigEndian(span.traceHigh) + bigEndian(span.traceLow))
        writer.field(2, bytes: bigEndian(span.spanID))
        if !span.state.isEmpty { writer.field(3, text: span.state) }
        if span.parentID != 0 { writer.field(4, bytes: bigEndian(span.parentID)) }
        writer.field(5, text: span.name)
        writer.field(6, varint: UInt64(span.kind.rawValue))
        writer.field(7, fixed64: span.start)
        writer.field(8, fixed64: span.end)
        for attribute in span.attributes { writer.field(9, bytes: keyValue(attribute)) }
        if let failure = span.failure {
            var status = ProtobufWriter()
            status.field(2, text: failure)
            status.field(3, varint: 2)
            writer.field(15, bytes: status.bytes)
        }
        writer.field(16, fixed32: 1)
        return writer.bytes
    }

    /// KeyValue {key 1, value 2}; AnyValue {string 1, bool 2, int 3, double 4}.
    private static func keyValue(_ attribute: Span.Attribute) -> [UInt8] {
        var value = ProtobufWriter()
        switch attribute.value {
        case .text(let text): value.field(1, text: text)
        case .flag(let flag): value.field(2, varint: flag ? 1 : 0)
        case .integer(let number): value.field(3, varint: UInt64(bitPattern: number))
        case .number(let number): value.field(4, fixed64: number.bitPattern)
        }
        var writer = ProtobufWriter()
        writer.field(1, text: attribute.key)
        writer.field(2, bytes: value.bytes)
        return writer.bytes
    }

    private static func bigEndian(_ number: UInt64) -> [UInt8] { withUnsafeBytes(of: number.bigEndian) { Array($0) } }

    /// What of a message the receiver refused though it took the message: ExportTraceServiceResponse
    /// {partial_success 1 {rejected_spans 1, error_message 2}}. An answer that is no such message refuses nothing.
    static func refusal(in response: [UInt8]) -> AerieError? {
        response.withUnsafeBytes { bytes -> AerieError? in
            var rejected: UInt64 = 0
            var reason = ""
            do throws(AerieError) {
                var reader = ProtobufReader(bytes)
                while let field = try reader.next() {
                    guard field.number == 1, field.wire == 2 else {
                        try reader.skip(field)
                        continue
                    }
                    var partial = ProtobufReader(try reader.delimited())
                    while let field = try partial.next() {
                        switch (field.number, field.wire) {
                        case (1, 0): rejected = try partial.varint()
                        case (2, 2): reason = try partial.text()
                        default: try partial.skip(field)
                        }
                    }
                }
            } catch { return nil }
            guard rejected > 0 else { return nil }
            return AerieError(.dataLoss, "the collector refused \(rejected) spans: \(reason.prefix(200))")
        }
    }
}
