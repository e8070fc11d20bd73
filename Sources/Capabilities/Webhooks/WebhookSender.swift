public import AerieCore

/// One request to a webhook.
public struct WebhookRequest: Sendable {
    public var url: String
    public var headers: [(name: String, value: String)]
    public var body: String
    public init(url: String, headers: [(name: String, value: String)], body: String) {
        self.url = url
        self.headers = headers
        self.body = body
    }
}

/// What a webhook answered.
public struct WebhookResponse: Hashable, Sendable {
    public var status: Int
    /// The first 4 KiB, for a person to read.
    public var body: String
    /// How long the receiver asks to be left alone.
    public var retryAfterMilliseconds: Int64?
    public init(status: Int, body: String, retryAfterMilliseconds: Int64? = nil) {
        self.status = status
        self.body = body
        self.retryAfterMilliseconds = retryAfterMilliseconds
    }
}

/// Sends over HTTP.
///
/// Contract: POSTs to the address and nowhere else, as redirects are not followed and no proxy is asked. It ends within
/// its time limit, whatever the receiver does. An answer of any status is an answer.
public protocol WebhookSender: Sendable {
    /// - Throws: `unavailable` or `deadlineExceeded`, with a sentence that names no secret.
    func send(_ request: WebhookRequest) async throws(AerieError) -> WebhookResponse
}
