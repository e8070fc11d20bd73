import AerieCore
import Crypto
import Experiments
import Features
import Foundation

/// Saved datasets among the artifacts, below a folder of their own: in files, or wherever artifacts are kept.
struct ArtifactArchive: DatasetArchive {
    let artifacts: any ArtifactStore
    let folder = "feature-datasets"

    private func place(_ path: String) throws(AerieError) -> ArtifactPath { try ArtifactPath("\(folder)/\(path)") }

    func put(_ path: String, from file: String) async throws(AerieError) -> ArchivedFile {
        let reader = try LocalFile(file)
        var hash = SHA256()
        let bytes = try await artifacts.put(try place(path)) { () async throws(AerieError) in
            let piece = try reader.next()
            if let piece { hash.update(data: piece) }
            return piece
        }
        return ArchivedFile(bytes: bytes, digest: Hexadecimal.encode(hash.finalize()))
    }

    func put(_ path: String, text: String) async throws(AerieError) {
        var piece: [UInt8]? = Array(text.utf8)
        _ = try await artifacts.put(try place(path)) { () async throws(AerieError) in
            defer { piece = nil }
            return piece
        }
    }

    func text(_ path: String) async throws(AerieError) -> String? {
        do throws(AerieError) {
            let reader = try await artifacts.open(try place(path), range: nil)
            var bytes: [UInt8] = []
            while let piece = try await reader.next() { bytes += piece }
            return String(decoding: bytes, as: UTF8.self)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    func fetch(_ path: String, to file: String) async throws(AerieError) {
        let reader = try await artifacts.open(try place(path), range: nil)
        guard FileManager.default.createFile(atPath: file, contents: nil), let out = FileHandle(forWritingAtPath: file)
        else { throw AerieError(.unavailable, "cannot write \(file)") }
        defer { try? out.close() }
        while let piece = try await reader.next() {
            do { try out.write(contentsOf: Data(piece)) } catch {
                throw AerieError(.resourceExhausted, "\(file) cannot be written: the disk may be full", cause: error)
            }
        }
    }

    func names(in folder: String) async throws(AerieError) -> [String] {
        try await artifacts.list(try place(folder)).map(\.path.name)
    }

    func delete(_ path: String) async throws(AerieError) { try await artifacts.delete(try place(path)) }

    func digest(of file: String) async throws(AerieError) -> String {
        let reader = try LocalFile(file)
        var hash = SHA256()
        while let piece = try reader.next() { hash.update(data: piece) }
        return Hexadecimal.encode(hash.finalize())
    }
}
