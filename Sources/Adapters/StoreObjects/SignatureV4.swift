import AerieCore
import Crypto
import Foundation

/// The access keys of an object store. Says nothing of itself when printed.
public struct ObjectCredentials: Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    public let accessKey: String
    let secretKey: String
    /// Of temporary keys.
    let sessionToken: String?

    public init(accessKey: String, secretKey: String, sessionToken: String? = nil) {
        self.accessKey = accessKey
        self.secretKey = secretKey
        self.sessionToken = sessionToken
    }

    public var description: String { "credentials \(accessKey.prefix(4))…" }
    public var debugDescription: String { description }
}

/// AWS Signature Version 4: pure, as a function of the request, the keys and the moment.
struct SignatureV4: Sendable {
    static let unsigned = "UNSIGNED-PAYLOAD"
    static let algorithm = "AWS4-HMAC-SHA256"

    var credentials: ObjectCredentials
    var region: String
    var service = "s3"

    /// What is signed of a request. Path and names are not encoded yet; headers are lowercase.
    struct Subject {
        var method: String
        /// Encoded.
        var path: String
        var query: [(name: String, value: String)] = []
        var headers: [(name: String, value: String)]
        var payloadHash: String
    }

    /// - Returns: the value of the `Authorization` header.
    func authorization(_ subject: Subject, at moment: SigningMoment) -> String {
        let names = Self.signedNames(subject)
        return "\(Self.algorithm) Credential=\(credentials.accessKey)/\(scope(moment)), SignedHeaders=\(names), "
            + "Signature=\(signature(subject, at: moment))"
    }

    /// The query of a request that needs no headers but `host`, good for `seconds` (a week at most).
    func presignedQuery(
        method: String, path: String, query: [(name: String, value: String)], host: String, seconds: Int,
        at moment: SigningMoment
    ) -> String {
        var all = query
        all.append(("X-Amz-Algorithm", Self.algorithm))
        all.append(("X-Amz-Credential", "\(credentials.accessKey)/\(scope(moment))"))
        all.append(("X-Amz-Date", moment.text))
        all.append(("X-Amz-Expires", "\(seconds)"))
        all.append(("X-Amz-SignedHeaders", "host"))
        if let token = credentials.sessionToken { all.append(("X-Amz-Security-Token", token)) }
        let subject = Subject(
            method: method, path: path, query: all, headers: [("host", host)], payloadHash: Self.unsigned)
        return Self.canonicalQuery(all) + "&X-Amz-Signature=" + signature(subject, at: moment)
    }

    func canonicalRequest(_ subject: Subject) -> String {
        let headers = subject.headers.sorted { $0.name < $1.name }
            .map { "\($0.name):\(Self.trimmed($0.value))\n" }.joined()
        return [
            subject.method, subject.path, Self.canonicalQuery(subject.query), headers, Self.signedNames(subject),
            subject.payloadHash,
        ].joined(separator: "\n")
    }

    func stringToSign(_ subject: Subject, at moment: SigningMoment) -> String {
        [Self.algorithm, moment.text, scope(moment), Self.sha256(Array(canonicalRequest(subject).utf8))]
            .joined(separator: "\n")
    }

    private func signature(_ subject: Subject, at moment: SigningMoment) -> String {
        func mac(_ key: SymmetricKey, _ text: String) -> SymmetricKey {
            SymmetricKey(data: Data(HMAC<SHA256>.authenticationCode(for: Data(text.utf8), using: key)))
        }
        var key = SymmetricKey(data: Data("AWS4\(credentials.secretKey)".utf8))
        for part in [moment.day, region, service, "aws4_request"] { key = mac(key, part) }
        let code = HMAC<SHA256>.authenticationCode(for: Data(stringToSign(subject, at: moment).utf8), using: key)
        return Hexadecimal.encode(code)
    }

    private func scope(_ moment: SigningMoment) -> String { "\(moment.day)/\(region)/\(service)/aws4_request" }

    private static func signedNames(_ subject: Subject) -> String {
        subject.headers.map(\.name).sorted().joined(separator: ";")
    }

    static func canonicalQuery(_ query: [(name: String, value: String)]) -> String {
        let encoded = query.map { (name: URIEncoding.query($0.name), value: URIEncoding.query($0.value)) }
        let sorted = encoded.sorted { ($0.name, $0.value) < ($1.name, $1.value) }
        return sorted.map { $0.name + "=" + $0.value }.joined(separator: "&")
    }

    private static func trimmed(_ value: String) -> String {
        value.split(separator: " ", omittingEmptySubsequences: true).joined(separator: " ")
    }

    static func sha256(_ bytes: [UInt8]) -> String { Hexadecimal.encode(SHA256.hash(data: bytes)) }
}

/// A moment as signatures write it: `20130524T000000Z`.
struct SigningMoment: Sendable {
    let text: String
    var day: String { String(text.prefix(8)) }

    init(_ text: String) { self.text = text }
    init(_ time: Timestamp) { text = time.iso8601.filter { $0 != "-" && $0 != ":" } }
}
