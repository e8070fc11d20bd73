/// Which trace a request belongs to, and who called: the W3C's Trace Context, level 2.
public struct TraceContext: Sendable, Hashable {
    /// 128 bits, never all 0.
    public var traceHigh: UInt64
    public var traceLow: UInt64
    /// Of the caller, or of the present span where a context is passed on; never 0.
    public var spanID: UInt64
    /// Whether the caller keeps the trace.
    public var isSampled: Bool
    /// The header field `tracestate` as it came; empty without one.
    public var state: String

    public init(traceHigh: UInt64, traceLow: UInt64, spanID: UInt64, isSampled: Bool, state: String = "") {
        self.traceHigh = traceHigh
        self.traceLow = traceLow
        self.spanID = spanID
        self.isSampled = isSampled
        self.state = state
    }

    /// Reads `traceparent`: `00-` 32 digits `-` 16 digits `-` 2 digits, all of them hexadecimal and in lower case. A
    /// later version may have more behind them.
    /// - Returns: `nil` for what is malformed: the request then begins a trace of its own, as the standard asks for.
    /// - Parameter state: a `tracestate` that is longer than 512 bytes or holds other than visible ASCII is left out.
    public init?(parent: some Collection<UInt8>, state: some Collection<UInt8>) {
        let bytes = Array(parent)
        let dash = UInt8(ascii: "-")
        guard bytes.count >= 55, bytes[2] == dash, bytes[35] == dash, bytes[52] == dash,
            let version = Self.number(bytes[0..<2]), version != 0xff, version != 0 || bytes.count == 55,
            bytes.count == 55 || bytes[55] == dash,
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]), high | low != 0,
            let span = Self.number(bytes[36..<52]), span != 0, let flags = Self.number(bytes[53..<55])
        else { return nil }
        let isFit = state.count <= 512 && state.allSatisfy { $0 >= 0x20 && $0 < 0x7f }
        self.init(
            traceHigh: high, traceLow: low, spanID: span, isSampled: flags & 1 == 1,
            state: isFit ? String(decoding: state, as: UTF8.self) : "")
    }

    /// As `traceparent` says it.
    public var parent: String { "00-\(traceID)-\(Self.hexadecimal(spanID))-\(isSampled ? "01" : "00")" }
    /// 32 hexadecimal digits.
    public var traceID: String { Self.hexadecimal(traceHigh) + Self.hexadecimal(traceLow) }

    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }

    /// 16 digits.
    public static func hexadecimal(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
}
