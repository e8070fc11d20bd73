import AerieCore
import AsyncHTTPClient
import Foundation
import NIOCore

extension PlatformClient {
    /// Writes an answer's body to a file, which appears when it is whole.
    func save(_ response: HTTPClientResponse, to output: String) async throws {
        let file = try ExportFile(path: output)
        do {
            for try await piece in response.body { try file.write(Data(piece.readableBytesView)) }
            try file.finish()
        } catch let error as AerieError {
            file.discard()
            throw error
        } catch {
            file.discard()
            throw unreachable(error)
        }
    }
}
