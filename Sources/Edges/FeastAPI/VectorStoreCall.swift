import Crypto

/// What is asked of the vector stores of OpenAI's API, by the path below a namespace.
enum VectorStoreCall: Equatable {
    case list
    case retrieve(String)
    case search(String)

    static let path = "v1/vector_stores"

    /// - Returns: `nil` for the paths of others.
    init?(path: some StringProtocol) {
        guard path.hasPrefix(Self.path) else { return nil }
        let parts = path.dropFirst(Self.path.count).split(separator: "/", omittingEmptySubsequences: false)
        switch parts.count {
        case 1 where parts[0].isEmpty: self = .list
        case 2 where parts[0].isEmpty && !parts[1].isEmpty: self = .retrieve(String(parts[1]))
        case 3 where parts[0].isEmpty && parts[2] == "search": self = .search(String(parts[1]))
        default: return nil
        }
    }

    /// Whether it comes by GET.
    var isRead: Bool {
        if case .search = self { false } else { true }
    }

    /// How a view is called: `vs_` and the first 24 hexadecimal digits of the SHA-256 of `project:view`, as in Feast
    /// 0.67.
    static func identifier(project: String, view: String) -> String {
        let digest = SHA256.hash(data: Array("\(project):\(view)".utf8))
        return "vs_" + digest.prefix(12).map { hexadecimal($0) }.joined()
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}
