import AerieCore
import AerieJSON
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// The REST API of an MLflow server that runs: asked, and never told anything.
///
/// A call that fails for a reason that may pass (no connection, 429, 5xx) is tried again a few times with pauses.
/// Answers that are one message are held in memory; files come in pieces.
struct MLflowServer: Sendable {
    /// Without a slash at the end, and without the name and password.
    let address: String
    private let headers: HTTPHeaders
    private static let attempts = 5
    /// Of one file.
    private static let downloads = 3
    private static let backoff = Backoff(base: .milliseconds(200), factor: 3, cap: .milliseconds(5400))
    /// Of an answer that is one message.
    private static let answerBytes = 512 << 20

    /// - Parameter address: `http://host:port`, with a path where the server is below one, and `user:password@` before
    ///   the host where it asks for them.
    /// - Throws: `invalidArgument` for what is no such address.
    init(_ address: String) throws(AerieError) {
        guard let parts = URLComponents(string: address), ["http", "https"].contains(parts.scheme?.lowercased() ?? ""),
            let host = parts.host, !host.isEmpty, parts.query == nil, parts.fragment == nil
        else {
            throw .invalid("from", "\"\(address.prefix(200))\" is no address such as http://mlflow.example.com:5000")
        }
        var plain = parts
        (plain.user, plain.password) = (nil, nil)
        var text = plain.string ?? address
        while text.hasSuffix("/") { text.removeLast() }
        self.address = text
        var headers: HTTPHeaders = ["Accept": "application/json", "User-Agent": "aerie-import"]
        if let user = parts.user {
            let secret = Array("\(user):\(parts.password ?? "")".utf8)
            headers.add(name: "Authorization", value: "Basic " + Base64.standard.encode(secret))
        }
        self.headers = headers
    }

    /// - Parameter query: names and values, a name as often as it has values.
    func get(_ path: String, _ query: [(String, String)] = []) async throws(AerieError) -> JSONValue {
        try await message(request(path, query))
    }

    func post(_ path: String, _ body: JSONValue) async throws(AerieError) -> JSONValue {
        var request = request(path, [])
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.body = .bytes(ByteBuffer(string: body.text()))
        return try await message(request)
    }

    /// Hands a file over as it comes.
    ///
    /// An answer that breaks off is asked for again, and `body` then begins anew. A server that notices within a file
    /// that it is damaged has no other way to say so than to end the connection.
    /// - Throws: `dataLoss` for a file that breaks off every time.
    func download(
        _ path: String, into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        for attempt in 1... {
            guard let broken = try await piecewise(path, into: body) else { return }
            guard attempt < Self.downloads else {
                throw AerieError(
                    .dataLoss,
                    "\(address)\(path) broke off after \(broken.bytes) bytes, \(attempt) times; it may be damaged there",
                    cause: broken.cause)
            }
            try await Self.wait(afterFailures: attempt)
        }
    }

    /// - Returns: where the answer broke off, if it did.
    private func piecewise(
        _ path: String, into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) -> (bytes: Int, cause: any Error)? {
        let response = try await answer(to: request(path, []))
        var pieces = response.body.makeAsyncIterator()
        var bytes = 0
        var broken: (any Error)?
        do throws(AerieError) {
            try await body { () async throws(AerieError) in
                do {
                    guard let piece = try await pieces.next() else { return nil }
                    bytes += piece.readableBytes
                    return Array(piece.readableBytesView)
                } catch is CancellationError {
                    throw AerieError(.cancelled, "the import was cancelled")
                } catch {
                    broken = error
                    throw AerieError(.unavailable, "reading \(path) from \(address) broke off", cause: error)
                }
            }
        } catch {
            guard let broken else { throw error }
            return (bytes, broken)
        }
        return nil
    }

    private static func wait(afterFailures count: Int) async throws(AerieError) {
        do { try await Task.sleep(for: backoff.pause(afterFailures: count)) } catch {
            throw AerieError(.cancelled, "the import was cancelled")
        }
    }

    private func request(_ path: String, _ query: [(String, String)]) -> HTTPClientRequest {
        var url = address + path
        if !query.isEmpty {
            let words = query.map { "\(Self.escaped($0.0))=\(Self.escaped($0.1))" }
            url += "?" + words.joined(separator: "&")
        }
        var request = HTTPClientRequest(url: url)
        request.headers = headers
        return request
    }

    /// For one name or value; a slash is escaped too.
    static func escaped(_ text: String) -> String {
        text.addingPercentEncoding(withAllowedCharacters: unreserved) ?? text
    }

    private static let unreserved = CharacterSet(
        charactersIn: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

    private func message(_ request: HTTPClientRequest) async throws(AerieError) -> JSONValue {
        let response = try await answer(to: request)
        let bytes: [UInt8]
        do {
            bytes = Array(try await response.body.collect(upTo: Self.answerBytes).readableBytesView)
        } catch {
            throw AerieError(.unavailable, "\(address) broke off its answer", cause: error)
        }
        // Python's JSON has NaN and the infinities as words.
        do throws(JSONError) { return try JSONValue.parse(bytes, allowsNonFinite: true) } catch {
            throw AerieError(.dataLoss, "\(address) answered what is no JSON; is it an MLflow server?", cause: error)
        }
    }

    private func answer(to request: HTTPClientRequest) async throws(AerieError) -> HTTPClientResponse {
        for attempt in 1... {
            let failure: AerieError
            do throws(AerieError) { return try await once(request) } catch { failure = error }
            guard failure.code == .unavailable, attempt < Self.attempts else { throw failure }
            try await Self.wait(afterFailures: attempt)
        }
        throw AerieError(.internal, "no attempt was made")
    }

    /// One for the process. A refused connection is told at once instead of being tried again here.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(10)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private func once(_ request: HTTPClientRequest) async throws(AerieError) -> HTTPClientResponse {
        let response: HTTPClientResponse
        do {
            response = try await Self.http.execute(request, timeout: .minutes(10))
        } catch is CancellationError {
            throw AerieError(.cancelled, "the import was cancelled")
        } catch {
            throw AerieError(.unavailable, "\(address) does not answer: \(error)", cause: error)
        }
        guard response.status != .ok else { return response }
        let told = (try? await response.body.collect(upTo: 1 << 20)).map { String(buffer: $0) } ?? ""
        let reason = (try? JSONValue.parse(told))?["message"]?.string ?? response.status.reasonPhrase
        let message = "\(address) answered \(response.status.code): \(reason.prefix(500))"
        switch response.status.code {
        case 401: throw AerieError(.unauthenticated, message + "; give the name and password as http://name:password@…")
        case 403: throw AerieError(.permissionDenied, message)
        case 404: throw AerieError(.notFound, message)
        case 410: throw AerieError(.dataLoss, message)
        case 429, 500...: throw AerieError(.unavailable, message)
        default: throw AerieError(.failedPrecondition, message)
        }
    }
}
