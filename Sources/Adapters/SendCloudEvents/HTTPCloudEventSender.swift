public import AerieCore
import AsyncHTTPClient
public import CloudEvents
import NIOCore
import NIOHTTP1

/// Sends events by a POST each: CloudEvents' HTTP binding, binary mode. Redirects are not followed and no proxy is
/// used, so that requests' content goes where the deployment says and nowhere else.
public final class HTTPCloudEventSender: CloudEventSender {
    private let client: HTTPClient
    private let seconds: Int64

    /// - Parameter timeoutSeconds: for an event and its answer; connecting may take half of it.
    public init(timeoutSeconds: Int64 = 5) {
        seconds = timeoutSeconds
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(max(1, timeoutSeconds / 2))
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public func send(_ event: CloudEvent, to url: String) async throws(AerieError) {
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        for field in event.fields { request.headers.add(name: field.name, value: field.value) }
        request.headers.add(name: "Content-Type", value: event.contentType)
        for attribute in event.extensions where attribute.name == "traceparent" || attribute.name == "tracestate" {
            request.headers.add(name: attribute.name, value: attribute.value)
        }
        request.body = .bytes(ByteBuffer(bytes: event.data))
        let status: Int
        do {
            let response = try await client.execute(request, deadline: .now() + .seconds(seconds))
            status = Int(response.status.code)
            // What a receiver says beyond its status is of no use, and is read so that the connection can go on.
            _ = try await response.body.collect(upTo: 64 << 10)
        } catch {
            throw AerieError(.unavailable, "\(url) does not answer: \(error)", cause: error)
        }
        guard !(200..<300).contains(status) else { return }
        let mayPass = status == 429 || status >= 500
        throw AerieError(mayPass ? .unavailable : .failedPrecondition, "\(url) answered \(status)")
    }

    public func close() async { try? await client.shutdown() }
}
