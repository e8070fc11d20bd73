import AerieCore
import AerieJSON
import Experiments
import HTTPTypes
import Hummingbird
import NIOCore

extension MLflowRoutes {
    private static let marker = "/mlflow-artifacts/artifacts"

    /// The `mlflow-artifacts` proxy: bodies go piece by piece between the socket and the store.
    func registerArtifacts<Context: RequestContext>(on router: Router<Context>, prefix: String) {
        let root = RouterPath(prefix + Self.marker)
        let below = RouterPath(prefix + Self.marker + "/**")
        router.on(root, method: .get) { request, context in
            await guarded(request) {
                try await list(
                    request,
                    context)
            }
        }
        router.on(below, method: .get) { request, _ in await guarded(request) { try await download(request, prefix) } }
        router.on(below, method: .put) { request, _ in await guarded(request) { try await upload(request, prefix) } }
        router.on(below, method: .delete) { request, _ in
            await guarded(request) {
                try await artifacts.delete(try Self.path(of: request, prefix: prefix))
                return Self.response(.ok, [:])
            }
        }
        registerDirectArtifacts(on: router, prefix: prefix)
    }

    func guarded(_ request: Request, _ body: () async throws -> Response) async -> Response {
        do { return try await body() } catch let error as AerieError { return failure(error, request) } catch {
            return failure(AerieError(.internal, "the request could not be carried out", cause: error), request)
        }
    }

    /// The path behind the marker, its escapes resolved before it is checked.
    private static func path(of request: Request, prefix: String) throws(AerieError) -> ArtifactPath {
        // The router matched this prefix, whatever follows it.
        let rest = request.uri.path.dropFirst(prefix.count + marker.count + 1)
        guard let text = PercentEncoding.decode(rest) else {
            throw .invalid("path", "Invalid path: it is not percent-encoded UTF-8")
        }
        return try ArtifactPath(text)
    }

    private func list<Context: RequestContext>(_ request: Request, _ context: Context) async throws -> Response {
        let call = try await Call(request, parameters: context.parameters, actor: actor)
        let folder = try ArtifactPath(try call.fields.string("path") ?? "")
        let files = try await artifacts.list(folder).map { $0.mlflow($0.path.name) }
        var body = JSONObject()
        body.add("files", files)
        return Self.response(.ok, body)
    }

    private func upload(_ request: Request, _ prefix: String) async throws -> Response {
        let path = try Self.path(of: request, prefix: prefix)
        var body = request.body.makeAsyncIterator()
        let next = { () async throws(AerieError) -> [UInt8]? in
            do { return try await body.next().map { Array($0.readableBytesView) } } catch {
                throw AerieError(.cancelled, "the upload was cut short", cause: error)
            }
        }
        var check = try UploadCheck(request.headers)
        _ = try await artifacts.put(path) { () async throws(AerieError) in
            guard let piece = try await next() else {
                try check.finish()
                return nil
            }
            check.add(piece)
            return piece
        }
        return Self.response(.ok, [:])
    }

    private func download(_ request: Request, _ prefix: String) async throws -> Response {
        let path = try Self.path(of: request, prefix: prefix)
        let whole = try await artifacts.open(path, range: nil)
        var headers: HTTPFields = [
            .contentType: MediaTypes.type(of: path.name), .acceptRanges: "bytes", .xContentTypeOptions: "nosniff",
            .contentDisposition: "attachment; filename=\"\(path.name.filter { $0 != "\"" && $0.isASCII })\"",
        ]
        if let digest = whole.digest { headers[.reprDigest] = digest.reprDigest }
        guard let range = ByteRange(request.headers[.range], size: whole.size) else {
            // Read before the answer begins, so that a small file's damage is said in words.
            let first = try await whole.next()
            return Response(status: .ok, headers: headers, body: Self.body(whole, first: first, length: whole.size))
        }
        guard !range.bytes.isEmpty else {
            headers[.contentRange] = "bytes */\(whole.size)"
            return Response(status: .rangeNotSatisfiable, headers: headers)
        }
        headers[.contentRange] = "bytes \(range.bytes.lowerBound)-\(range.bytes.upperBound - 1)/\(whole.size)"
        let part = try await artifacts.open(path, range: range.bytes)
        let body = Self.body(part, first: nil, length: Int64(range.bytes.count))
        return Response(status: .partialContent, headers: headers, body: body)
    }

    private static func body(_ reader: any ArtifactReader, first: [UInt8]?, length: Int64) -> ResponseBody {
        ResponseBody(contentLength: Int(length)) { writer in
            if let first { try await writer.write(ByteBuffer(bytes: first)) }
            while let piece = try await reader.next() { try await writer.write(ByteBuffer(bytes: piece)) }
            try await writer.finish(nil)
        }
    }
}

/// One range of a `Range` header. Several ranges, and what cannot be read, count as none: the whole file is a right
/// answer.
struct ByteRange {
    let bytes: Range<Int64>

    init?(_ header: String?, size: Int64) {
        guard let header, header.hasPrefix("bytes=") else { return nil }
        let parts = header.dropFirst(6).split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, !header.contains(",") else { return nil }
        if parts[0].isEmpty {
            guard let count = Int64(parts[1]), count >= 0 else { return nil }
            bytes = max(0, size - min(count, size))..<size
        } else {
            guard let start = Int64(parts[0]), start >= 0 else { return nil }
            var end = size
            if !parts[1].isEmpty {
                guard let last = Int64(parts[1]), last >= start else { return nil }
                end = min(size, last == .max ? size : last + 1)
            }
            bytes = start < end ? start..<end : size..<size
        }
    }
}

enum MediaTypes {
    static func type(of name: String) -> String {
        switch name.split(separator: ".").last?.lowercased() {
        case "txt", "log", "md", "yaml", "yml", "py": "text/plain"
        case "mlmodel": "text/plain"
        case "json": "application/json"
        case "csv": "text/csv"
        case "html", "htm": "text/html"
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "svg": "image/svg+xml"
        default: "application/octet-stream"
        }
    }
}
