public import AerieCore
public import Experiments
import NIOHTTP1

extension ObjectArtifactStore: DirectArtifactStore {
    public func beginParts(
        _ path: ArtifactPath, count: Int, seconds: Int
    ) async throws(AerieError) -> (id: String, urls: [String]) {
        guard !path.isRoot else { throw .invalid("path", "Invalid path: a file's name is missing") }
        guard (1...10_000).contains(count) else {
            throw .invalid("num_parts", "is \(count), but an upload has 1 to 10000 parts")
        }
        let key = try checked(path)
        let id = try await ObjectUpload.begin(client, key: key)
        let urls = (1...count).map {
            client.presigned(.PUT, key: key, query: [("partNumber", "\($0)"), ("uploadId", id)], seconds: seconds)
        }
        return (id, urls)
    }

    public func completeParts(
        _ path: ArtifactPath, id: String, parts: [(number: Int, tag: String)]
    ) async throws(AerieError) {
        guard !parts.isEmpty else { throw .invalid("parts", "an upload has at least one part") }
        try await ObjectUpload.complete(client, key: try checked(path), id: id, tags: parts)
    }

    public func abortParts(_ path: ArtifactPath, id: String) async throws(AerieError) {
        _ = try await client.send(
            ObjectRequest(method: .DELETE, key: try checked(path), query: [("uploadId", id)]), expected: [404])
    }

    public func downloadURL(
        _ path: ArtifactPath, seconds: Int
    ) async throws(AerieError) -> (url: String, size: Int64) {
        let key = try checked(path)
        guard !path.isRoot, let found = try await head(key) else { throw .notFound("No such artifact: '\(path)'") }
        return (client.presigned(.GET, key: key, seconds: seconds), found.size)
    }
}
