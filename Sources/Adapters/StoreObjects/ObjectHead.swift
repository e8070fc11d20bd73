import Experiments
import NIOHTTP1

/// What a service says of an object without giving it.
struct ObjectHead: Sendable {
    var size: Int64
    /// The `ETag` as it came, quotes and all; empty if there is none.
    var tag: String
    var digest: ContentDigest?

    /// `nil` if the size is not told.
    init?(_ headers: HTTPHeaders) {
        guard let size = headers.first(name: "content-length").flatMap({ Int64($0) }) else { return nil }
        self.size = size
        tag = headers.first(name: "etag") ?? ""
        digest = Self.digest(tag, headers)
    }

    /// The tag of an object that came whole is the MD5 of its content, unless the service encrypts with keys that are
    /// not its own. That of one that came in parts is made of theirs and tells how many: objects of as many parts and
    /// of one size were cut alike.
    private static func digest(_ tag: String, _ headers: HTTPHeaders) -> ContentDigest? {
        let text = tag.filter { $0 != "\"" }
        guard !text.isEmpty, !tag.hasPrefix("W/") else { return nil }
        if let dash = text.lastIndex(of: "-") {
            return ContentDigest(kind: "etag\(text[dash...])", text: text)
        }
        let isKMS = headers.first(name: "x-amz-server-side-encryption")?.hasPrefix("aws:") ?? false
        let isForeign = isKMS || headers.contains(name: "x-amz-server-side-encryption-customer-algorithm")
        let isMD5 = text.utf8.count == 32 && text.allSatisfy(\.isHexDigit) && !isForeign
        return ContentDigest(kind: isMD5 ? ContentDigest.md5 : "etag", text: text.lowercased())
    }
}
