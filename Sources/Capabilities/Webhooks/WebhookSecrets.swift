public import AerieCore
import Crypto
import Foundation

/// Keeps webhooks' secrets unreadable in the store, and signs with them.
///
/// A secret is sealed with AES-GCM under a key of 32 bytes that is kept apart from the metadata. The webhook's
/// identifier is bound into it, so that one webhook's secret cannot be put in another's place.
public struct WebhookSecrets: Sendable {
    private let key: SymmetricKey

    /// - Throws: `invalidArgument` unless the key has 32 bytes.
    public init(key: [UInt8]) throws(AerieError) {
        guard key.count == 32 else { throw .invalid("webhook key", "must have 32 bytes, not \(key.count)") }
        self.key = SymmetricKey(data: key)
    }

    public func seal(_ secret: String, for id: WebhookID) throws(AerieError) -> [UInt8] {
        do {
            let box = try AES.GCM.seal(Data(secret.utf8), using: key, authenticating: Data(id.text.utf8))
            guard let combined = box.combined else { throw AerieError(.internal, "a sealed secret has no bytes") }
            return Array(combined)
        } catch { throw AerieError(.internal, "a webhook's secret could not be sealed", cause: error) }
    }

    /// - Throws: `dataLoss` if it was sealed with another key.
    public func open(_ sealed: [UInt8], for id: WebhookID) throws(AerieError) -> String {
        do {
            let box = try AES.GCM.SealedBox(combined: Data(sealed))
            let bytes = try AES.GCM.open(box, using: key, authenticating: Data(id.text.utf8))
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            throw AerieError(
                .dataLoss, "the webhook's secret was sealed with another key; set the secret again", cause: error)
        }
    }

    /// `v1,` and the base64 of HMAC-SHA256 over `<delivery id>.<timestamp>.<body>`.
    public static func signature(secret: String, delivery: String, timestamp: String, body: String) -> String {
        let code = HMAC<SHA256>.authenticationCode(
            for: Data("\(delivery).\(timestamp).\(body)".utf8), using: SymmetricKey(data: Data(secret.utf8)))
        return "v1," + Data(code).base64EncodedString()
    }
}
