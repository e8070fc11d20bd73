import AerieCore
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore

/// A table that was written to a file of this process, as an answer.
enum TableFile {
    /// The file is opened and unlinked, so that nothing stays whatever becomes of the connection. Its rows are told in
    /// `x-aerie-rows`.
    static func response(_ path: String, type: String, rows: Int64) throws -> Response {
        guard let file = FileHandle(forReadingAtPath: path) else {
            throw AerieError(.internal, "the table that was written is not there")
        }
        try? FileManager.default.removeItem(atPath: path)
        let size = try file.seekToEnd()
        try file.seek(toOffset: 0)
        let content = OpenTable(file)
        var headers: HTTPFields = [.contentType: type]
        if let name = HTTPField.Name("x-aerie-rows") { headers[name] = "\(rows)" }
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody(contentLength: Int(size)) { writer in
                while let piece = try content.next() { try await writer.write(ByteBuffer(bytes: piece)) }
                try await writer.finish(nil)
            })
    }
}

/// `@unchecked Sendable`: read by the one task that writes the answer.
private final class OpenTable: @unchecked Sendable {
    private let file: FileHandle
    init(_ file: FileHandle) { self.file = file }
    func next() throws -> Data? {
        guard let data = try file.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
        return data
    }
    deinit { try? file.close() }
}
