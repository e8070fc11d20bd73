public import AerieCore
public import Experiments
import NIOHTTP1

/// Artifacts in a bucket of an object store that speaks Amazon's S3 protocol, or of Google Cloud Storage by its XML
/// interface. An artifact's key is the location's prefix and its path; what other programs put there is seen too.
public final class ObjectArtifactStore: ArtifactStore {
    let client: ObjectClient
    /// Empty, or ends with a slash.
    private let prefix: String

    /// - Parameter backoff: the pauses before a failed request is sent again, five times at most.
    /// - Throws: `invalidArgument` for an endpoint that is no URL.
    public init(
        _ location: ObjectLocation, settings: ObjectSettings, clock: any WallClock = SystemClock(),
        backoff: Backoff = Backoff(base: .milliseconds(100), cap: .milliseconds(1600), jitter: 0.5)
    ) throws(AerieError) {
        client = try ObjectClient(location, settings: settings, clock: clock, backoff: backoff)
        prefix = location.prefix.isEmpty ? "" : location.prefix + "/"
    }

    /// Asks the bucket for nothing, to see whether it is there and may be read.
    /// - Throws: what the service says; `unavailable` if it does not answer.
    public func check() async throws(AerieError) {
        _ = try await client.send(
            ObjectRequest(method: .GET, key: "", query: [("list-type", "2"), ("max-keys", "1"), ("prefix", prefix)]))
    }

    func key(_ path: ArtifactPath) -> String { prefix + path.description }

    public func put(
        _ path: ArtifactPath, next: () async throws(AerieError) -> [UInt8]?
    ) async throws(AerieError) -> Int64 {
        guard !path.isRoot else { throw .invalid("path", "Invalid path: a file's name is missing") }
        return try await ObjectUpload(client: client, key: try checked(path)).run(next)
    }

    public func open(_ path: ArtifactPath, range: Range<Int64>?) async throws(AerieError) -> any ArtifactReader {
        guard !path.isRoot, let found = try await head(try checked(path)) else {
            throw .notFound("No such artifact: '\(path)'")
        }
        return ObjectReader(client, key: key(path), head: found, range: range)
    }

    public func digest(_ path: ArtifactPath) async throws(AerieError) -> ContentDigest? {
        guard !path.isRoot, let found = try await head(try checked(path)) else {
            throw .notFound("No such artifact: '\(path)'")
        }
        return found.digest
    }

    public func entry(_ path: ArtifactPath) async throws(AerieError) -> ArtifactEntry? {
        if path.isRoot { return ArtifactEntry(path: path, isDirectory: true, size: nil) }
        if let found = try await head(try checked(path)) {
            return ArtifactEntry(path: path, isDirectory: false, size: found.size)
        }
        let page = try await page(key(path) + "/", delimiter: nil, limit: 1, after: nil)
        return page.files.isEmpty ? nil : ArtifactEntry(path: path, isDirectory: true, size: nil)
    }

    public func list(_ path: ArtifactPath) async throws(AerieError) -> [ArtifactEntry] {
        let folder = path.isRoot ? prefix : try checked(path) + "/"
        var entries: [ArtifactEntry] = []
        var token: String?
        repeat {
            let page = try await page(folder, delimiter: "/", limit: 1000, after: token)
            for file in page.files {
                guard let child = child(file.key, of: path, in: folder) else { continue }
                entries.append(ArtifactEntry(path: child, isDirectory: false, size: file.size))
            }
            for name in page.folders {
                guard let child = child(String(name.dropLast()), of: path, in: folder) else { continue }
                entries.append(ArtifactEntry(path: child, isDirectory: true, size: nil))
            }
            token = page.next
        } while token != nil
        if entries.isEmpty, !path.isRoot, let found = try await head(key(path)) {
            return [ArtifactEntry(path: path, isDirectory: false, size: found.size)]
        }
        return entries.sorted { $0.path.name < $1.path.name }
    }

    public func delete(_ path: ArtifactPath) async throws(AerieError) {
        guard !path.isRoot else { throw .invalid("path", "Invalid path: the whole store is not deleted at once") }
        let name = try checked(path)
        var found = false
        if try await head(name) != nil {
            found = true
            _ = try await client.send(ObjectRequest(method: .DELETE, key: name), expected: [404])
        }
        while true {
            // What was deleted is not listed again, so each page is the first one.
            let page = try await page(name + "/", delimiter: nil, limit: 1000, after: nil)
            if page.files.isEmpty { break }
            found = true
            try await delete(page.files.map(\.key))
        }
        guard found else { throw AerieError.notFound("No artifact at \(path)") }
    }

    // MARK: Requests

    /// The key of a path that an object may have.
    func checked(_ path: ArtifactPath) throws(AerieError) -> String {
        let name = key(path)
        guard name.utf8.count <= 1024 else {
            throw .invalid("path", "with the store's prefix is longer than the 1024 bytes of an object's key")
        }
        return name
    }

    /// A path below the folder; `nil` for a name that is no artifact's.
    private func child(_ key: String, of folder: ArtifactPath, in prefix: String) -> ArtifactPath? {
        guard key.utf8.starts(with: prefix.utf8) else { return nil }
        // Counted in bytes: a character may reach over the slash.
        return folder.child(String(decoding: key.utf8.dropFirst(prefix.utf8.count), as: UTF8.self))
    }

    func head(_ key: String) async throws(AerieError) -> ObjectHead? {
        let answer = try await client.send(ObjectRequest(method: .HEAD, key: key), expected: [404])
        if answer.status == 404 { return nil }
        guard let head = ObjectHead(answer.headers) else {
            throw AerieError(.unavailable, "\(client.endpoint) does not tell the size of \(key)")
        }
        return head
    }

    private struct Page {
        var files: [(key: String, size: Int64)] = []
        var folders: [String] = []
        var next: String?
    }

    private func page(
        _ prefix: String, delimiter: String?, limit: Int, after token: String?
    ) async throws(AerieError) -> Page {
        var query = [
            ("list-type", "2"), ("encoding-type", "url"), ("max-keys", "\(limit)"), ("prefix", prefix),
        ]
        if let delimiter { query.append(("delimiter", delimiter)) }
        if let token { query.append(("continuation-token", token)) }
        let answer = try await client.send(ObjectRequest(method: .GET, key: "", query: query))
        guard let xml = answer.xml, xml.name == "ListBucketResult" else {
            throw AerieError(.unavailable, "\(client.endpoint) lists \(prefix) in a form that is not known")
        }
        let isEncoded = xml["EncodingType"] == "url"
        func text(_ name: String) -> String { isEncoded ? Self.decoded(name) : name }
        var page = Page()
        for content in xml.all("Contents") {
            guard let key = content["Key"], let size = content["Size"].flatMap({ Int64($0) }) else { continue }
            page.files.append((text(key), size))
        }
        page.folders = xml.all("CommonPrefixes").compactMap { $0["Prefix"].map(text) }
        if xml["IsTruncated"] == "true" { page.next = xml["NextContinuationToken"] }
        return page
    }

    /// A name as lists escape it: `%2F`, and `+` for a space.
    private static func decoded(_ name: String) -> String {
        let spaced = name.replacing("+", with: " ")
        guard spaced.contains("%") else { return spaced }
        var bytes: [UInt8] = []
        var rest = Array(spaced.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%"), rest.count >= 2,
                let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16)
            else {
                bytes.append(byte)
                continue
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private func delete(_ keys: [String]) async throws(AerieError) {
        if client.location.service == .gs {
            // Its XML interface deletes one object a request.
            for key in keys { _ = try await client.send(ObjectRequest(method: .DELETE, key: key), expected: [404]) }
            return
        }
        let list = keys.map { "<Object><Key>\(XMLNode.escape($0))</Key></Object>" }.joined()
        let body = Array("<Delete><Quiet>true</Quiet>\(list)</Delete>".utf8)
        let answer = try await client.send(
            ObjectRequest(
                method: .POST, key: "", query: [("delete", "")],
                headers: [("content-md5", ObjectUpload.md5(body)), ("content-type", "application/xml")], body: body))
        guard let problem = answer.xml?.all("Error").first else { return }
        throw AerieError(
            .unavailable,
            "\(problem["Key"] ?? "an object") was not deleted: \(problem["Code"] ?? "") "
                + "\(problem["Message"] ?? "")")
    }
}
