import AerieCore
import AerieJSON
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// Talks to a server's platform API: JSON in, JSON out, its errors as `AerieError`.
struct PlatformClient: Sendable {
    static let maximumAnswer = 256 << 20

    /// One for the process. A refused connection is told at once instead of being tried again.
    private static let http: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.connectionPool.retryConnectionEstablishment = false
        configuration.timeout.connect = .seconds(5)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    /// Without a slash at the end.
    let server: String
    private let user: String

    /// - Throws: `invalidArgument` unless it is `http://host[:port]` or `https://…`.
    init(server: String, user: String = "") throws(AerieError) {
        let written = server.contains("://") ? server : "http://\(server)"
        guard let url = URL(string: written), let scheme = url.scheme, ["http", "https"].contains(scheme),
            let host = url.host, !host.isEmpty, url.query == nil, url.fragment == nil
        else { throw .invalid("server", "\"\(server)\" is no address; write http://host:port") }
        self.server = written.hasSuffix("/") ? String(written.dropLast()) : written
        self.user = String(user.filter { $0.isASCII && ($0.isLetter || $0.isNumber || "-_.@".contains($0)) })
    }

    func get(_ path: String, query: [(String, String)] = []) async throws(AerieError) -> JSONValue {
        try await send(.GET, path, query, nil)
    }

    func post(
        _ path: String, query: [(String, String)] = [], body: String = "", type: String = "application/yaml"
    ) async throws(AerieError) -> JSONValue {
        try await send(.POST, path, query, (body, type))
    }

    func delete(_ path: String, query: [(String, String)] = []) async throws(AerieError) -> JSONValue {
        try await send(.DELETE, path, query, nil)
    }

    /// Hands over each line of an endless answer as it comes. Returns when the server ends it.
    /// - Parameter body: text and content type of a POST; without one it is a GET.
    func stream(
        _ path: String, query: [(String, String)] = [], body: (String, String)? = nil,
        each: (JSONValue) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        try await lines(request(body == nil ? .GET : .POST, path, query, body), each: each)
    }

    private func lines(
        _ request: HTTPClientRequest, each: (JSONValue) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        let response = try await execute(request, deadline: .distantFuture)
        if response.status.code >= 400 { throw await Self.error(response) }
        var line: [UInt8] = []
        do {
            for try await chunk in response.body {
                for byte in chunk.readableBytesView {
                    guard byte == 0x0a else {
                        line.append(byte)
                        continue
                    }
                    if !line.isEmpty { try await each(Self.json(line)) }
                    line.removeAll(keepingCapacity: true)
                }
            }
        } catch let error as AerieError {
            throw error
        } catch is CancellationError {
            throw AerieError(.cancelled, "cancelled")
        } catch {
            throw AerieError(.unavailable, "Aerie at \(server) went away before it was done; run it again to go on", cause: error)
        }
    }

    /// Follows work whose answer is lines of JSON, the last of them `report` or `error`.
    /// - Parameter each: the lines before.
    /// - Returns: the report.
    /// - Throws: the error of the last line; `unavailable` if there is neither, and the work may be asked for again.
    func follow(
        _ path: String, query: [(String, String)] = [], body: JSONValue,
        each: (JSONValue) async throws(AerieError) -> Void
    ) async throws(AerieError) -> JSONValue {
        try await follow(request(.POST, path, query, (body.text(), "application/json")), each: each)
    }

    /// The same for a request with a body of another kind.
    func follow(
        _ request: HTTPClientRequest, each: (JSONValue) async throws(AerieError) -> Void
    ) async throws(AerieError) -> JSONValue {
        var report: JSONValue?
        try await lines(request) { line throws(AerieError) in
            if let error = line["error"] { throw Self.error(error, message: error["message"]?.string ?? "it failed") }
            if line["type"]?.string == "report" { report = line } else { try await each(line) }
        }
        guard let report else {
            throw AerieError(.unavailable, "Aerie at \(server) ended before it was done; run it again to go on")
        }
        return report
    }

    // MARK: Inside

    func send(
        _ method: HTTPMethod, _ path: String, _ query: [(String, String)], _ body: (String, String)?
    ) async throws(AerieError) -> JSONValue {
        let response = try await execute(request(method, path, query, body), deadline: .now() + .minutes(2))
        if response.status.code >= 400 { throw await Self.error(response) }
        do {
            let buffer = try await response.body.collect(upTo: Self.maximumAnswer)
            return buffer.readableBytes == 0 ? .null : try Self.json(Array(buffer.readableBytesView))
        } catch let error as AerieError {
            throw error
        } catch {
            throw unreachable(error)
        }
    }

    func request(
        _ method: HTTPMethod, _ path: String, _ query: [(String, String)], _ body: (String, String)?
    ) -> HTTPClientRequest {
        let parameters = query.map { "\($0.0)=\(Self.escape($0.1))" }.joined(separator: "&")
        var request = HTTPClientRequest(url: server + path + (parameters.isEmpty ? "" : "?\(parameters)"))
        request.method = method
        request.headers.add(name: "accept", value: "application/json")
        if !user.isEmpty { request.headers.add(name: "x-aerie-user", value: user) }
        if let (text, type) = body {
            request.headers.add(name: "content-type", value: type)
            request.body = .bytes(ByteBuffer(string: text))
        }
        return request
    }

    func execute(
        _ request: HTTPClientRequest, deadline: NIODeadline
    ) async throws(AerieError) -> HTTPClientResponse {
        do { return try await Self.http.execute(request, deadline: deadline) } catch { throw unreachable(error) }
    }

    func unreachable(_ error: any Error) -> AerieError {
        if error is CancellationError { return AerieError(.cancelled, "cancelled") }
        let why =
            switch error as? HTTPClientError {
            case .some(.deadlineExceeded): "it did not answer in time"
            case .some(.connectTimeout): "no answer to the attempt to connect"
            case .some(.remoteConnectionClosed): "it closed the connection"
            default: "it does not accept connections"
            }
        return AerieError(
            .unavailable,
            "cannot reach Aerie at \(server): \(why); start it with `aerie up`, or name another with --server",
            reason: "server.unreachable", cause: error)
    }

    private static func json(_ bytes: [UInt8]) throws(AerieError) -> JSONValue {
        do { return try JSONValue.parse(bytes) } catch { throw error.asAerieError(in: "the server's answer") }
    }

    /// What RFC 3986 calls unreserved stays as it is.
    static func escape(_ text: String) -> String {
        let letters = CharacterSet.alphanumerics.intersection(.init(charactersIn: "!"..."~"))
        return text.addingPercentEncoding(withAllowedCharacters: letters.union(.init(charactersIn: "-._~"))) ?? ""
    }

    /// The server's error body as the error it was there; any other body by its status.
    static func error(_ response: HTTPClientResponse) async -> AerieError {
        let status = response.status
        guard let buffer = try? await response.body.collect(upTo: 4 << 20),
            let body = try? JSONValue.parse(Array(buffer.readableBytesView))
        else { return foreign(status) }
        if let tracking = AerieError(tracking: body) { return tracking }
        guard let error = body["error"], let message = error["message"]?.string
        else { return foreign(status) }
        return Self.error(error, message: message)
    }

    /// What a server's answer says under `error`.
    private static func error(_ error: JSONValue, message: String) -> AerieError {
        let details = (error["details"]?.array ?? []).map { detail in
            AerieError.Detail(
                field: detail["field"]?.string ?? "", problem: detail["problem"]?.string ?? "",
                line: detail["line"]?.int.flatMap { Int(exactly: $0) },
                column: detail["column"]?.int.flatMap { Int(exactly: $0) },
                offset: detail["offset"]?.int.flatMap { Int(exactly: $0) })
        }
        return AerieError(
            AerieError.Code(wireName: error["code"]?.string ?? ""), message, reason: error["reason"]?.string,
            details: details)
    }

    private static func foreign(_ status: HTTPResponseStatus) -> AerieError {
        AerieError(
            status.code == 404 ? .notFound : .internal,
            "the server answered \(status.code) \(status.reasonPhrase); is that address an Aerie server's?")
    }
}

extension AerieError.Code {
    /// The code by the name that it has in an error body; `internal` for one that this version does not know.
    init(wireName: String) {
        let known: [AerieError.Code] = [
            .invalidArgument, .notFound, .alreadyExists, .failedPrecondition, .conflict, .permissionDenied,
            .unauthenticated, .resourceExhausted, .deadlineExceeded, .unavailable, .unsupported, .dataLoss, .cancelled,
        ]
        self = known.first { $0.description == wireName } ?? .internal
    }
}
