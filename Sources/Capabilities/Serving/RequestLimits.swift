/// What one request to a predictor may take and be, by Seldon's annotations.
public struct RequestLimits: Hashable, Sendable {
    /// Nanoseconds from a request's arrival to its answer, over HTTP and over gRPC; 0 for no limit.
    public var restTimeout: UInt64 = 0
    public var grpcTimeout: UInt64 = 0
    /// Bytes of one message over gRPC, both ways; 0 for the server's own limit.
    public var grpcMessageBytes = 0
    /// Nanoseconds that a request may wait for a thread while more come than can be answered; 0 for the server's own
    /// limit.
    public var queueDelay: UInt64 = 0

    public init() {}

    /// What at least one of them allows.
    static func loosest(_ limits: [RequestLimits]) -> RequestLimits {
        func most<Value: Comparable & ExpressibleByIntegerLiteral>(_ limit: KeyPath<RequestLimits, Value>) -> Value {
            let all = limits.map { $0[keyPath: limit] }
            return all.contains(0) ? 0 : all.max() ?? 0
        }
        var loosest = RequestLimits()
        loosest.restTimeout = most(\.restTimeout)
        loosest.grpcTimeout = most(\.grpcTimeout)
        loosest.grpcMessageBytes = most(\.grpcMessageBytes)
        return loosest
    }
}

/// The annotations that say so.
enum LimitSetting: String, CaseIterable {
    /// Milliseconds.
    case restTimeout = "seldon.io/rest-timeout"
    case grpcTimeout = "seldon.io/grpc-timeout"
    /// Bytes.
    case grpcMessageSize = "seldon.io/grpc-max-message-size"
    /// Milliseconds.
    case queueDelay = "aerie.dev/queue-delay-target"

    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String? {
        Self.number(value) == nil ? "\"\(value)\" is no whole number from 1 to \(Int32.max)" : nil
    }

    /// The limits that a deployment's settings make together.
    /// - Precondition: none of them has a problem; one that does is passed over.
    static func limits(_ settings: [String: String]) -> RequestLimits {
        func value(_ setting: LimitSetting) -> Int { settings[setting.rawValue].flatMap(number) ?? 0 }
        var limits = RequestLimits()
        limits.restTimeout = UInt64(value(.restTimeout)) * 1_000_000
        limits.grpcTimeout = UInt64(value(.grpcTimeout)) * 1_000_000
        limits.grpcMessageBytes = value(.grpcMessageSize)
        limits.queueDelay = UInt64(value(.queueDelay)) * 1_000_000
        return limits
    }

    private static func number(_ text: String) -> Int? {
        Int(text).flatMap { (1...Int(Int32.max)).contains($0) ? $0 : nil }
    }
}
