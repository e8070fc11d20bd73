/// A name for one thing of one kind, so that a run's identifier cannot be passed where an experiment's is expected.
///
/// Conforming types are one line: `public struct RunID: Identifier { public let text: String; … }`. An identifier
/// holds text that has been accepted at the edge; `Identifier` itself checks nothing.
public protocol Identifier: Hashable, Sendable, Codable, CustomStringConvertible, ExpressibleByStringLiteral {
    var text: String { get }
    init(_ text: String)
}

extension Identifier {
    public init(stringLiteral value: String) { self.init(value) }
    public var description: String { text }

    public init(from decoder: any Decoder) throws {
        self.init(try decoder.singleValueContainer().decode(String.self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(text)
    }
}

/// Where new random identifiers come from. Tests inject a seeded generator and get the same names every time.
public struct IdentifierSource: Sendable {
    private let next: @Sendable () -> UInt64

    /// - Parameter next: 64 random bits at a time; called from any thread.
    public init(_ next: @escaping @Sendable () -> UInt64) { self.next = next }

    /// The system's generator.
    public static let system = IdentifierSource { UInt64.random(in: .min ... .max) }

    /// 32 lowercase hexadecimal digits, the form of MLflow's run identifiers.
    public func hex32() -> String { Self.hex(next()) + Self.hex(next()) }

    /// `count` digits and lowercase letters, at most 12.
    public func short(_ count: Int = 8) -> String {
        let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz")
        var bits = next()
        return String((0..<min(count, 12)).map { _ in
            defer { bits /= 36 }
            return alphabet[Int(bits % 36)]
        })
    }

    /// A version 4 UUID in its canonical lowercase form.
    public func uuid() -> String {
        let high = (next() & 0xffff_ffff_ffff_0fff) | 0x4000
        let low = (next() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
        let a = Array(Self.hex(high) + Self.hex(low))
        return String(a[0..<8]) + "-" + String(a[8..<12]) + "-" + String(a[12..<16]) + "-" + String(a[16..<20])
            + "-" + String(a[20..<32])
    }

    private static func hex(_ value: UInt64) -> String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }
}
