import AerieCore
import AsyncHTTPClient
import Foundation
import NIOCore

extension PlatformClient {
    /// Writes an answer's body to a file, under another name first, so that the file is whole or not there.
    func save(_ response: HTTPClientResponse, to output: String) async throws {
        let part = output + ".part"
        guard FileManager.default.createFile(atPath: part, contents: nil),
            let file = FileHandle(forWritingAtPath: part)
        else { throw AerieError(.permissionDenied, "\(output) cannot be written") }
        do {
            for try await piece in response.body { try file.write(contentsOf: Data(piece.readableBytesView)) }
            try file.close()
        } catch {
            try? FileManager.default.removeItem(atPath: part)
            throw unreachable(error)
        }
        guard rename(part, output) == 0 else { throw AerieError(.permissionDenied, "\(output) cannot be written") }
    }
}
