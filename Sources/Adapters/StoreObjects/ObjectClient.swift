import AerieCore
import AsyncHTTPClient
import Crypto
import Foundation
import NIOCore
import NIOHTTP1

/// One request to a bucket: signed anew for each try, and tried again where that may help.
struct ObjectRequest: Sendable {
    var method: HTTPMethod
    /// The object's key, without escapes; empty for the bucket itself.
    var key: String
    var query: [(name: String, value: String)] = []
    /// Lowercase names.
    var headers: [(name: String, value: String)] = []
    var body: [UInt8] = []
}

struct ObjectAnswer: Sendable {
    var status: Int
    var headers: HTTPHeaders
    var body: [UInt8]

    var xml: XMLNode? { XMLNode.parse(body) }
}

/// Speaks to one bucket over HTTP. Safe to call from any task; connections are kept and shared.
struct ObjectClient: Sendable {
    let location: ObjectLocation
    let endpoint: ObjectEndpoint
    private let signature: SignatureV4
    private let clock: any WallClock
    private let backoff: Backoff

    /// The connections of every store in this process. Lives as long as it does.
    private static let connections: HTTPClient = {
        var configuration = HTTPClient.Configuration()
        configuration.redirectConfiguration = .disallow
        configuration.timeout.connect = .seconds(5)
        configuration.timeout.read = .seconds(60)
        configuration.connectionPool.idleTimeout = .seconds(20)
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }()

    private static let tries = 6
    /// The largest answer that is taken, in bytes.
    private static let answerLimit = 64 << 20

    init(
        _ location: ObjectLocation, settings: ObjectSettings, clock: any WallClock, backoff: Backoff
    ) throws(AerieError) {
        self.location = location
        endpoint = try ObjectEndpoint(
            location, region: settings.region, override: settings.endpoint, isPathStyle: settings.isPathStyle)
        signature = SignatureV4(credentials: settings.credentials, region: settings.region)
        self.clock = clock
        self.backoff = backoff
    }

    /// Sends a request until it is answered with something else than "try again".
    ///
    /// - Parameter expected: statuses that are returned though they are no success.
    /// - Throws: what the service's refusal means; `unavailable` naming the endpoint if nobody answers.
    func send(_ request: ObjectRequest, expected: Set<Int> = []) async throws(AerieError) -> ObjectAnswer {
        var last = AerieError(.unavailable, "\(endpoint) was not asked")
        var chance = SystemRandomNumberGenerator()
        for failures in 0..<Self.tries {
            if failures > 0 {
                let pause = backoff.pause(afterFailures: failures, using: &chance)
                do { try await Task.sleep(for: pause) } catch { break }
            }
            let answer: ObjectAnswer
            do throws(AerieError) { answer = try await sendOnce(request) } catch {
                last = error
                if error.code == .cancelled { break }
                continue
            }
            // A multipart upload's completion may say 200 and fail in its body.
            let error = answer.body.isEmpty || answer.status == 206 ? nil : Self.failure(in: answer)
            if (200..<300).contains(answer.status), error == nil || request.method == .GET { return answer }
            if expected.contains(answer.status) { return answer }
            last = refusal(request, answer, error)
            guard Self.isPassing(answer.status, error?["Code"]) else { break }
        }
        throw last
    }

    /// A URL by which anybody can do one thing until `seconds` are over.
    func presigned(_ method: HTTPMethod, key: String, query: [(name: String, value: String)] = [], seconds: Int)
        -> String
    {
        let path = self.path(key)
        let text = signature.presignedQuery(
            method: method.rawValue, path: path, query: query, host: endpoint.host, seconds: seconds,
            at: SigningMoment(clock.now()))
        return "\(endpoint.scheme)://\(endpoint.host)\(path)?\(text)"
    }

    private func path(_ key: String) -> String {
        let path = endpoint.root + "/" + URIEncoding.path(key)
        // The bucket itself, in path style, has no slash behind it.
        return key.isEmpty && !endpoint.root.isEmpty ? endpoint.root : path
    }

    private func sendOnce(_ request: ObjectRequest) async throws(AerieError) -> ObjectAnswer {
        let moment = SigningMoment(clock.now())
        let hash = SignatureV4.sha256(request.body)
        let path = path(request.key)
        var headers = request.headers
        headers.append(("host", endpoint.host))
        headers.append(("x-amz-date", moment.text))
        headers.append(("x-amz-content-sha256", hash))
        if let token = signature.credentials.sessionToken { headers.append(("x-amz-security-token", token)) }
        let subject = SignatureV4.Subject(
            method: request.method.rawValue, path: path, query: request.query, headers: headers, payloadHash: hash)
        let query = SignatureV4.canonicalQuery(request.query)
        var message = HTTPClientRequest(
            url: "\(endpoint.scheme)://\(endpoint.host)\(path)\(query.isEmpty ? "" : "?\(query)")")
        message.method = request.method
        for header in headers where header.name != "host" {
            message.headers.add(name: header.name, value: header.value)
        }
        message.headers.add(name: "authorization", value: signature.authorization(subject, at: moment))
        if !request.body.isEmpty || request.method == .PUT || request.method == .POST {
            message.body = .bytes(ByteBuffer(bytes: request.body))
        }
        do {
            let response = try await Self.connections.execute(message, timeout: .seconds(300))
            // The answer to HEAD tells the length of a body that does not come.
            if request.method == .HEAD {
                return ObjectAnswer(status: Int(response.status.code), headers: response.headers, body: [])
            }
            let body = try await response.body.collect(upTo: Self.answerLimit)
            return ObjectAnswer(
                status: Int(response.status.code), headers: response.headers, body: Array(body.readableBytesView))
        } catch is CancellationError {
            throw AerieError(.cancelled, "the request to \(endpoint) was cancelled")
        } catch {
            throw AerieError(
                .unavailable, "the object store \(location) at \(endpoint) does not answer: \(error)", cause: error)
        }
    }

    // MARK: Refusals

    private static func failure(in answer: ObjectAnswer) -> XMLNode? {
        guard answer.body.first == UInt8(ascii: "<"), let xml = answer.xml, xml.name == "Error" else { return nil }
        return xml
    }

    private static func isPassing(_ status: Int, _ code: String?) -> Bool {
        if [500, 502, 503, 504, 429].contains(status) { return true }
        return ["SlowDown", "InternalError", "RequestTimeout", "ServiceUnavailable"].contains(code ?? "")
    }

    private func refusal(_ request: ObjectRequest, _ answer: ObjectAnswer, _ error: XMLNode?) -> AerieError {
        let code = error?["Code"] ?? ""
        let words = [code, error?["Message"] ?? ""].filter { !$0.isEmpty }.joined(separator: ": ")
        let what = "\(request.method.rawValue) \(location.service.rawValue)://\(location.bucket)/\(request.key)"
        let text = "\(what) was answered with \(answer.status)\(words.isEmpty ? "" : " (\(words))")"
        switch (answer.status, code) {
        case (_, "NoSuchBucket"):
            return AerieError(
                .failedPrecondition, "\(text); make the bucket, or name another one", reason: "objects.bucket")
        case (301, _), (_, "AuthorizationHeaderMalformed"), (_, "PermanentRedirect"):
            let region = answer.headers.first(name: "x-amz-bucket-region") ?? error?["Region"] ?? "the bucket's region"
            return AerieError(
                .failedPrecondition, "\(text); set AWS_REGION to \(region)", reason: "objects.region")
        case (_, "RequestTimeTooSkewed"):
            return AerieError(.unavailable, "\(text); this machine's clock is wrong")
        case (401, _), (403, _):
            return AerieError(
                .failedPrecondition, "\(text); check the access key and what it may do in the bucket",
                reason: "objects.access")
        case (_, "NoSuchUpload"): return AerieError(.notFound, "\(text): the upload is over or was given up")
        case (400, "InvalidPart"), (400, "InvalidPartOrder"), (400, "EntityTooSmall"):
            return .invalid("parts", text)
        case (404, _): return AerieError(.notFound, text, reason: "objects.missing")
        case (500..., _), (429, _): return AerieError(.unavailable, "\(text), again and again; try later")
        default: return AerieError(.internal, text)
        }
    }
}
