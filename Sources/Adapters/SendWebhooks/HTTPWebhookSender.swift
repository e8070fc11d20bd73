public import AerieCore
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
public import Webhooks

/// Sends webhooks over HTTP/1.1 or 2, with TLS for `https`.
///
/// Redirects are not followed and no proxy is used, so that a request goes where the webhook says and nowhere else.
public final class HTTPWebhookSender: WebhookSender {
    private let client: HTTPClient
    private let seconds: Int64
    private let clock: any WallClock
    private static let shownBytes = 4096

    /// - Parameter timeoutSeconds: for the whole of a request and its answer; connecting may take half of it.
    public init(timeoutSeconds: Int64 = 10, clock: any WallClock = SystemClock()) {
        seconds = timeoutSeconds
        self.clock = clock
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(max(1, timeoutSeconds / 2))
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.connectionPool.idleTimeout = .seconds(30)
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public func send(_ request: WebhookRequest) async throws(AerieError) -> WebhookResponse {
        var message = HTTPClientRequest(url: request.url)
        message.method = .POST
        for header in request.headers { message.headers.add(name: header.name, value: header.value) }
        message.body = .bytes(ByteBuffer(string: request.body))
        do {
            let start = ContinuousClock.now
            let response = try await client.execute(message, deadline: .now() + .seconds(seconds))
            // The client's deadline ends with the answer's head; a body may come drop by drop for ever.
            let body = await Self.beginning(of: response, until: start + .seconds(seconds))
            let retryAfter = response.headers.first(name: "Retry-After")
                .flatMap { RetryAfter.milliseconds($0, now: clock.now()) }
            return WebhookResponse(status: Int(response.status.code), body: body, retryAfterMilliseconds: retryAfter)
        } catch {
            throw failure(error)
        }
    }

    /// What a person may read of the answer, as far as it comes in time; the rest is left unread, and the connection
    /// with it.
    private static func beginning(of response: HTTPClientResponse, until deadline: ContinuousClock.Instant) async
        -> String
    {
        await withTaskGroup(of: String?.self) { group in
            group.addTask { await beginning(of: response) }
            group.addTask {
                try? await Task.sleep(until: deadline, clock: .continuous)
                return nil
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            // Cancelled, the reader gives what has come until now.
            let second = await group.next() ?? nil
            return first ?? second ?? ""
        }
    }

    private static func beginning(of response: HTTPClientResponse) async -> String {
        var bytes: [UInt8] = []
        do {
            for try await piece in response.body {
                bytes += piece.readableBytesView.prefix(shownBytes - bytes.count)
                if bytes.count >= shownBytes { break }
            }
        } catch {
            // The status is what counts; a body that is cut short changes nothing.
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func failure(_ error: any Error) -> AerieError {
        if error is CancellationError { return AerieError(.cancelled, "sending was cancelled") }
        switch error as? HTTPClientError {
        case .some(.deadlineExceeded), .some(.readTimeout):
            return AerieError(.deadlineExceeded, "the receiver did not answer within \(seconds) seconds", cause: error)
        case .some(.connectTimeout):
            return AerieError(.deadlineExceeded, "no connection to the receiver within its time", cause: error)
        case .some(.remoteConnectionClosed):
            return AerieError(.unavailable, "the receiver closed the connection", cause: error)
        case .some(.cancelled): return AerieError(.cancelled, "sending was cancelled")
        default: return AerieError(.unavailable, "the receiver does not accept connections", cause: error)
        }
    }

    /// Ends every connection. Called once, after the last request.
    public func close() async { try? await client.shutdown() }
}
