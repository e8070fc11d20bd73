import AerieCore
import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import RequestTracing

/// Spans over HTTP, in protobuf: OTLP/HTTP. Redirects are not followed and no proxy is used.
final class OTLPHTTPExporter: SpanExporter {
    private let client: HTTPClient
    private let endpoint: OTLPEndpoint
    private let resource: [Span.Attribute]
    private let version: String
    private static let answerLimit = 64 << 10

    init(_ endpoint: OTLPEndpoint, _ trust: CollectorTrust?, resource: [Span.Attribute], version: String) {
        self.endpoint = endpoint
        self.resource = resource
        self.version = version
        var configuration = HTTPClient.Configuration(tlsConfiguration: trust?.configuration)
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(exportSeconds / 2)
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    func export(_ spans: [Span]) async throws(AerieError) {
        var request = HTTPClientRequest(url: endpoint.url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/x-protobuf")
        request.headers.add(name: "User-Agent", value: "aerie/\(version)")
        for header in endpoint.headers { request.headers.add(name: header.name, value: header.value) }
        let message = TraceMessage.request(spans, resource: resource, scope: (instrumentation, version))
        request.body = .bytes(ByteBuffer(bytes: message))
        let status: Int
        let answer: [UInt8]
        do {
            let response = try await client.execute(request, deadline: .now() + .seconds(exportSeconds))
            status = Int(response.status.code)
            answer = Array(buffer: try await response.body.collect(upTo: Self.answerLimit))
        } catch {
            throw AerieError(.unavailable, "the collector at \(endpoint.url) does not answer: \(error)", cause: error)
        }
        switch status {
        case 200..<300:
            if let refusal = TraceMessage.refusal(in: answer) { throw refusal }
        case 429, 502, 503, 504:
            throw AerieError(.unavailable, "the collector at \(endpoint.url) answered \(status)")
        default:
            let words = String(decoding: answer.prefix(200), as: UTF8.self)
            throw AerieError(.failedPrecondition, "the collector at \(endpoint.url) answered \(status): \(words)")
        }
    }

    func close() async { try? await client.shutdown() }
}
