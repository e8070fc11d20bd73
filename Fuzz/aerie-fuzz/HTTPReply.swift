import AerieJSON
import Fuzzing

/// An answer over HTTP as a strict client reads it.
struct HTTPReply {
    var status: Int
    var head: String
    var body: [UInt8]

    /// The outcome in a few words: an error's own, or the status.
    var outcome: String {
        status < 300 ? "\(status)" : "\(status) \(String(decoding: body.prefix(200), as: UTF8.self))"
    }

    /// - Parameter isHead: whether bodies are left out, as the answers to HEAD do.
    /// - Throws: `FuzzFinding` for what is no answer, an error of the server's own, and JSON that is none.
    static func all(in bytes: [UInt8], isHead: Bool) throws -> [HTTPReply] {
        var replies: [HTTPReply] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            guard rest.starts(with: "HTTP/1.".utf8), let end = endOfHead(rest) else {
                throw FuzzFinding("no answer of HTTP: \(String(decoding: rest.prefix(80), as: UTF8.self))")
            }
            let head = String(decoding: rest[rest.startIndex..<(end - 4)], as: UTF8.self)
            rest = rest[end...]
            guard let status = head.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
                throw FuzzFinding("no status: \(head.prefix(80))")
            }
            if status == 100 { continue }
            if isHead {
                replies.append(HTTPReply(status: status, head: head, body: []))
                return replies
            }
            let length = field("content-length", in: head).flatMap { Int($0) } ?? 0
            guard rest.count >= length else { throw FuzzFinding("\(rest.count) of \(length) bytes of a body") }
            let reply = HTTPReply(status: status, head: head, body: Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
            try reply.check()
            replies.append(reply)
        }
        return replies
    }

    private func check() throws {
        let text = String(decoding: body.prefix(200), as: UTF8.self)
        if status == 500 { throw FuzzFinding("the server's own error: \(text)") }
        guard Self.field("content-type", in: head)?.hasPrefix("application/json") == true,
            Self.field("content-encoding", in: head) == nil
        else { return }
        do throws(JSONError) { _ = try JSONValue.parse(body) } catch {
            throw FuzzFinding("the answer's JSON breaks at byte \(error.offset): \(error.problem): \(text)")
        }
    }

    private static func field(_ name: String, in head: String) -> String? {
        for line in head.split(separator: "\r\n").dropFirst() {
            guard let colon = line.firstIndex(of: ":"), line[..<colon].lowercased() == name else { continue }
            return String(line[line.index(after: colon)...].drop { $0 == " " })
        }
        return nil
    }

    private static func endOfHead(_ bytes: ArraySlice<UInt8>) -> Int? {
        var at = bytes.startIndex
        while at + 3 < bytes.endIndex {
            if bytes[at] == 13, bytes[at + 1] == 10, bytes[at + 2] == 13, bytes[at + 3] == 10 { return at + 4 }
            at += 1
        }
        return nil
    }
}
