public import AerieCore
import AerieJSON
import AsyncHTTPClient
public import Features
import NIOCore
import NIOHTTP1

/// Makes vectors of texts by `POST {url}/embeddings`, as OpenAI's API has it (platform.openai.com, "Create embeddings").
///
/// Texts go 64 at a time, one request after the other. A request that is not answered in time, or with 429 or a 5xx, is
/// sent once more. Redirects are not followed and no proxy is used, so that texts go where the settings say and nowhere
/// else.
public final class HTTPTextEmbedder: TextEmbedder {
    private let endpoint: EmbeddingEndpoint
    private let client: HTTPClient
    private static let batch = 64
    private static let answerLimit = 64 << 20
    private static let shownBytes = 300

    public init(_ endpoint: EmbeddingEndpoint) {
        self.endpoint = endpoint
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.connectionPool.retryConnectionEstablishment = false
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    public var model: String { endpoint.model }

    public func vectors(of texts: [String]) async throws(AerieError) -> [[Double]] {
        var vectors: [[Double]] = []
        vectors.reserveCapacity(texts.count)
        for start in stride(from: 0, to: texts.count, by: Self.batch) {
            let some = Array(texts[start...].prefix(Self.batch))
            do throws(AerieError) { vectors += try await embed(some) } catch {
                guard error.code == .unavailable || error.code == .deadlineExceeded else { throw error }
                vectors += try await embed(some)
            }
        }
        guard Set(vectors.map(\.count)).count <= 1 else { throw unreadable("vectors of several lengths") }
        return vectors
    }

    private func embed(_ texts: [String]) async throws(AerieError) -> [[Double]] {
        var body: JSONObject = [
            "model": .string(endpoint.model), "input": .array(texts.map { .string($0) }), "encoding_format": "float",
        ]
        if let dimensions = endpoint.dimensions { body["dimensions"] = .int(Int64(dimensions)) }
        var request = HTTPClientRequest(url: endpoint.base + "/embeddings")
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json")
        if let key = endpoint.key { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        request.body = .bytes(ByteBuffer(bytes: JSONValue.object(body).utf8()))
        let (status, answer) = try await send(request)
        guard (200..<300).contains(status) else { throw refusal(status, answer) }
        return try vectors(in: answer, count: texts.count)
    }

    /// The time limit is that of the whole answer; the client's own ends with its head.
    private func send(_ request: HTTPClientRequest) async throws(AerieError) -> (status: Int, answer: [UInt8]) {
        do {
            return try await withThrowingTaskGroup(of: (Int, [UInt8])?.self) { group in
                group.addTask { [client, timeout = endpoint.timeout] in
                    let response = try await client.execute(request, timeout: TimeAmount(timeout))
                    let answer = try await response.body.collect(upTo: Self.answerLimit)
                    return (Int(response.status.code), Array(buffer: answer))
                }
                group.addTask { [timeout = endpoint.timeout] in
                    try await Task.sleep(for: timeout)
                    return nil
                }
                defer { group.cancelAll() }
                guard let first = try await group.next(), let answer = first else {
                    throw HTTPClientError.deadlineExceeded
                }
                return answer
            }
        } catch {
            throw failure(error)
        }
    }

    private func failure(_ error: any Error) -> AerieError {
        if Task.isCancelled { return AerieError(.cancelled, "making vectors of texts was cancelled") }
        switch error as? HTTPClientError {
        case .some(.deadlineExceeded), .some(.connectTimeout), .some(.readTimeout):
            let words = "\(endpoint.base)/embeddings did not answer within \(endpoint.timeout) (--embedding-timeout)"
            return AerieError(.deadlineExceeded, words, cause: error)
        default:
            let words = "\(endpoint.base)/embeddings (--embedding-url) does not answer"
            return AerieError(.unavailable, words, cause: error)
        }
    }

    private func refusal(_ status: Int, _ answer: [UInt8]) -> AerieError {
        let said = try? JSONValue.parse(answer)
        let words = said?["error"]?["message"]?.string ?? said?["error"]?.string
        let shown = words ?? String(decoding: answer.prefix(Self.shownBytes), as: UTF8.self)
        let place = "\(endpoint.base)/embeddings answered \(status)"
        switch status {
        case 401, 403:
            return AerieError(.failedPrecondition, "\(place): the key (--embedding-key) is not accepted: \(shown)")
        case 404, 405:
            return AerieError(
                .failedPrecondition,
                "\(place): there is no model '\(endpoint.model)' (--embedding-model), or no such API at this address "
                    + "(--embedding-url): \(shown)")
        case 400, 413, 422: return AerieError(.invalidArgument, "\(place): \(shown)")
        case 429, 500...: return AerieError(.unavailable, "\(place): \(shown)")
        default: return AerieError(.failedPrecondition, "\(place): \(shown)")
        }
    }

    /// `{"data": [{"index": 0, "embedding": [0.1, …]}, …]}`, in any order of the indices.
    private func vectors(in answer: [UInt8], count: Int) throws(AerieError) -> [[Double]] {
        guard let body = try? JSONValue.parse(answer), let data = body["data"]?.array, data.count == count else {
            throw unreadable("no list of \(count) vectors")
        }
        var vectors = [[Double]?](repeating: nil, count: count)
        for (place, element) in data.enumerated() {
            let index = element["index"]?.int.flatMap { Int(exactly: $0) } ?? place
            let numbers = element["embedding"]?.array?.compactMap(\.double)
            guard let numbers, !numbers.isEmpty, numbers.count == element["embedding"]?.array?.count,
                numbers.allSatisfy(\.isFinite), vectors.indices.contains(index), vectors[index] == nil
            else { throw unreadable("something that is no vector") }
            vectors[index] = numbers
        }
        return vectors.compactMap { $0 }
    }

    private func unreadable(_ what: String) -> AerieError {
        AerieError(
            .failedPrecondition,
            "\(endpoint.base)/embeddings (--embedding-url) answered with \(what), which is not OpenAI's embeddings API")
    }

    /// Ends every connection. Called once, after the last text.
    public func close() async { try? await client.shutdown() }
}
