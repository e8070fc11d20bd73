import AerieCore
import Crypto
import NIOHTTP1

/// Brings the pieces of a file into a bucket: in one request as long as it is short, else in parts.
///
/// The object appears with the last request, whole. Memory holds one part.
struct ObjectUpload {
    let client: ObjectClient
    let key: String

    /// Parts are this long; later ones are longer, so that 10,000 of them, the most there may be, hold 290 GB.
    static func partSize(_ number: Int) -> Int { number <= 1000 ? 8 << 20 : 32 << 20 }

    func run(_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Int64 {
        var part: [UInt8] = []
        var isEnd = false
        try await Self.fill(&part, upTo: Self.partSize(1), &isEnd, next)
        if isEnd {
            let headers = [("content-md5", Self.md5(part)), ("content-type", "application/octet-stream")]
            _ = try await client.send(ObjectRequest(method: .PUT, key: key, headers: headers, body: part))
            return Int64(part.count)
        }
        let id = try await Self.begin(client, key: key)
        do throws(AerieError) { return try await parts(id, first: part, next) } catch {
            // Parts that are not given up are kept, and paid for.
            let client = client
            let key = key
            await Task.detached {
                _ = try? await client.send(ObjectRequest(method: .DELETE, key: key, query: [("uploadId", id)]))
            }.value
            throw error
        }
    }

    private func parts(
        _ id: String, first: [UInt8], _ next: () async throws(AerieError) -> [UInt8]?
    ) async throws(AerieError) -> Int64 {
        var part = first
        var isEnd = false
        var tags: [String] = []
        var written: Int64 = 0
        while !part.isEmpty {
            let number = tags.count + 1
            guard number <= 10_000 else {
                throw AerieError(.resourceExhausted, "\(key) is longer than 290 GB, the most that one object may have")
            }
            let answer = try await client.send(
                ObjectRequest(
                    method: .PUT, key: key, query: [("partNumber", "\(number)"), ("uploadId", id)],
                    headers: [("content-md5", Self.md5(part))], body: part))
            guard let tag = answer.headers.first(name: "etag") else {
                throw AerieError(.unavailable, "\(client.endpoint) took part \(number) of \(key) without an ETag")
            }
            tags.append(tag)
            written += Int64(part.count)
            part.removeAll(keepingCapacity: true)
            if !isEnd { try await Self.fill(&part, upTo: Self.partSize(number + 1), &isEnd, next) }
        }
        try await Self.complete(client, key: key, id: id, tags: Array(zip(1..., tags)))
        return written
    }

    static func begin(_ client: ObjectClient, key: String) async throws(AerieError) -> String {
        let started = try await client.send(
            ObjectRequest(
                method: .POST, key: key, query: [("uploads", "")],
                headers: [("content-type", "application/octet-stream")]))
        guard let id = started.xml?["UploadId"], !id.isEmpty else {
            throw AerieError(.unavailable, "\(client.endpoint) began no upload of \(key)")
        }
        return id
    }

    static func complete(
        _ client: ObjectClient, key: String, id: String, tags: [(number: Int, tag: String)]
    ) async throws(AerieError) {
        let list = tags.map {
            "<Part><PartNumber>\($0.number)</PartNumber><ETag>\(XMLNode.escape($0.tag))</ETag></Part>"
        }
        let body = "<CompleteMultipartUpload>\(list.joined())</CompleteMultipartUpload>"
        _ = try await client.send(
            ObjectRequest(method: .POST, key: key, query: [("uploadId", id)], body: Array(body.utf8)))
    }

    private static func fill(
        _ part: inout [UInt8], upTo size: Int, _ isEnd: inout Bool, _ next: () async throws(AerieError) -> [UInt8]?
    ) async throws(AerieError) {
        while part.count < size {
            guard let piece = try await next() else {
                isEnd = true
                return
            }
            part += piece
        }
    }

    static func md5(_ bytes: [UInt8]) -> String { Base64.standard.encode(Array(Insecure.MD5.hash(data: bytes))) }
}
