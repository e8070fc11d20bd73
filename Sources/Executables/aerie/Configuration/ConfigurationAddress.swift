import AerieCore

/// Where a server listens: `127.0.0.1:8080`, `localhost:0`, `[::1]:8080`.
struct ListenAddress: Sendable, Equatable, CustomStringConvertible {
    /// An IP address or a name; an IPv6 address without its brackets.
    var host: String
    /// 0 lets the system choose a free one.
    var port: Int

    init(host: String, port: Int) {
        self.host = host
        self.port = port
    }

    /// - Throws: `invalidArgument`, saying which part is wrong.
    init(_ text: String) throws(AerieError) {
        func wrong(_ problem: String) -> AerieError { .invalid("", "\"\(text.prefix(80))\" \(problem)") }
        guard let colon = text.lastIndex(of: ":") else { throw wrong("has no port; write host:port") }
        var host = String(text[..<colon])
        let digits = text[text.index(after: colon)...]
        if host.hasPrefix("["), host.hasSuffix("]"), host.count > 2 {
            host = String(host.dropFirst().dropLast())
            guard host.utf8.allSatisfy({ Self.isHexadecimal($0) || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: ".") })
            else { throw wrong("holds no IPv6 address between its brackets") }
        } else if host.contains(":") {
            throw wrong("has a colon in its host; write an IPv6 address in brackets, as in [::1]:8080")
        } else if host.contains(where: { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "." || $0 == "-")) }) {
            throw wrong("holds no host name; write host:port, such as 127.0.0.1:8080")
        }
        guard !host.isEmpty else { throw wrong("names no host; write 127.0.0.1\(text)") }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 0x30 && $0 <= 0x39 }), let port = Int(digits),
            port <= 65535
        else { throw wrong("has no port between 0 and 65535") }
        self.init(host: host, port: port)
    }

    /// True if only programs of this machine can connect.
    var isLoopback: Bool {
        if host == "localhost" || host == "::1" { return true }
        let parts = host.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        return parts.count == 4 && parts[0] == 127 && !parts.contains(nil)
    }

    var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || ((byte | 0x20) >= 0x61 && (byte | 0x20) <= 0x66)
    }
}
