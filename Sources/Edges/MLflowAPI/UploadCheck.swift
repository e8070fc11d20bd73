import AerieCore
import Crypto
import Experiments
import HTTPTypes

/// Holds what comes against the digest that its sender wrote before it: `Content-MD5`, or `Repr-Digest` with SHA-256
/// (RFC 9530). Without either there is nothing to check.
struct UploadCheck: Sendable {
    private var expected: [(field: String, bytes: [UInt8])] = []
    private var md5: Insecure.MD5?
    private var sha256: SHA256?

    /// - Throws: `invalidArgument` for a digest that cannot be read.
    init(_ headers: HTTPFields) throws(AerieError) {
        if let text = headers[.contentMD5] {
            expected.append(("Content-MD5", try Self.bytes(text, count: 16, "Content-MD5")))
            md5 = Insecure.MD5()
        }
        for part in headers[.reprDigest]?.split(separator: ",") ?? [] {
            let pair = part.drop { $0 == " " }.split(separator: "=", maxSplits: 1)
            guard pair.count == 2, pair[0].lowercased() == "sha-256", sha256 == nil else { continue }
            let text = pair[1].filter { $0 != ":" && $0 != " " }
            expected.append(("Repr-Digest", try Self.bytes(text, count: 32, "Repr-Digest")))
            sha256 = SHA256()
        }
    }

    private static func bytes(_ text: String, count: Int, _ field: String) throws(AerieError) -> [UInt8] {
        guard let bytes = Base64.standard.decode(text), bytes.count == count else {
            throw .invalid(field, "\"\(text.prefix(80))\" is no digest of \(count) bytes in Base64")
        }
        return bytes
    }

    mutating func add(_ piece: [UInt8]) {
        piece.withUnsafeBytes { bytes in
            md5?.update(bufferPointer: bytes)
            sha256?.update(bufferPointer: bytes)
        }
    }

    /// - Throws: `invalidArgument` if another content came.
    func finish() throws(AerieError) {
        for (field, bytes) in expected {
            let found = field == "Content-MD5" ? md5.map { Array($0.finalize()) } : sha256.map { Array($0.finalize()) }
            guard found == bytes else {
                throw AerieError(
                    .invalidArgument, "What came is not what \(field) says; nothing was stored. Send the file again",
                    reason: "artifact.digest", details: [.init(field: field, problem: "does not fit the content")])
            }
        }
    }
}

extension HTTPField.Name {
    static let contentMD5 = HTTPField.Name("Content-MD5")!
    static let reprDigest = HTTPField.Name("Repr-Digest")!
}

extension ContentDigest {
    /// The header's value; `nil` for a kind that has no name there.
    var reprDigest: String? {
        guard kind == Self.sha256, let bytes = Hexadecimal.decode(text) else { return nil }
        return "sha-256=:\(Base64.standard.encode(bytes)):"
    }
}
