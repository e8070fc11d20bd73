import AerieCore
import Experiments
import Foundation
import StoreFiles
import Testing

@Suite struct FileArtifactStoreTests {
    private func withStore(_ body: (FileArtifactStore, String) async throws -> Void) async throws {
        let folder = NSTemporaryDirectory() + "aerie-files-" + IdentifierSource.system.hex32()
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try await body(try FileArtifactStore(root: folder), folder)
    }

    private func put(_ store: FileArtifactStore, _ path: String, _ pieces: [[UInt8]]) async throws -> Int64 {
        var rest = pieces[...]
        let next = { () async throws(AerieError) -> [UInt8]? in rest.popFirst() }
        return try await store.put(try ArtifactPath(path), next: next)
    }

    private func read(
        _ store: FileArtifactStore, _ path: String, _ range: Range<Int64>? = nil
    ) async throws -> [UInt8] {
        let reader = try await store.open(try ArtifactPath(path), range: range)
        var all: [UInt8] = []
        while let piece = try await reader.next() { all += piece }
        return all
    }

    @Test("what is put comes back, whole and in part")
    func roundTrip() async throws {
        try await withStore { store, folder in
            let pieces = (0..<5).map { index in [UInt8](repeating: UInt8(index), count: 200_000) }
            #expect(try await put(store, "1/a/b.bin", pieces) == 1_000_000)
            #expect(try await read(store, "1/a/b.bin") == pieces.flatMap { $0 })
            #expect(try await read(store, "1/a/b.bin", 199_999..<200_001) == [0, 1])
            #expect(try await read(store, "1/a/b.bin", 999_999..<2_000_000) == [4])
            #expect(try await read(store, "1/a/b.bin", 2_000_000..<3_000_000) == [])
            _ = try await put(store, "1/a/empty", [])
            #expect(try await read(store, "1/a/empty") == [])
            let list = try await store.list(try ArtifactPath("1/a"))
            #expect(list.map(\.path.name) == ["b.bin", "empty"] && list.map(\.size) == [1_000_000, 0])
            #expect(store.localPath(try ArtifactPath("1/a")) == URL(fileURLWithPath: folder).standardizedFileURL.path + "/1/a")
            try await store.delete(try ArtifactPath("1"))
            #expect(try await store.list(.root) == [])
        }
    }

    @Test("an upload that breaks off leaves nothing and does not touch what was there")
    func broken() async throws {
        try await withStore { store, folder in
            _ = try await put(store, "a", [[1]])
            var count = 0
            let next = { () async throws(AerieError) -> [UInt8]? in
                count += 1
                if count > 2 { throw AerieError(.cancelled, "gone") }
                return [9, 9]
            }
            await #expect(throws: AerieError.self) { _ = try await store.put(try ArtifactPath("a"), next: next) }
            #expect(try await read(store, "a") == [1])
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/.incoming") == [])
        }
    }

    @Test("a file whose content changed on the disk is told, before its last piece; a part of it is not checked")
    func damaged() async throws {
        try await withStore { store, folder in
            for (name, size) in [("small", 10), ("large", 700_000)] {
                let content = [UInt8](repeating: 7, count: size)
                _ = try await put(store, name, [content])
                let file = try FileHandle(forUpdating: URL(fileURLWithPath: folder + "/" + name))
                try file.seek(toOffset: 5)
                try file.write(contentsOf: Data([8]))
                try file.close()
                let reader = try await store.open(try ArtifactPath(name), range: nil)
                var given = 0
                let error = await #expect(throws: AerieError.self) {
                    while let piece = try await reader.next() { given += piece.count }
                }
                #expect(error?.code == .dataLoss && error?.message.contains(name) == true && given < size)
                #expect(try await read(store, name, 4..<7) == [7, 8, 7])
            }
            _ = try await put(store, "cut", [[1, 2, 3]])
            try FileHandle(forUpdating: URL(fileURLWithPath: folder + "/cut")).truncate(atOffset: 0)
            await #expect(throws: AerieError.self) { try await read(store, "cut") }
            // What other programs put there carries no digest, and is believed.
            try Data([1]).write(to: URL(fileURLWithPath: folder + "/foreign"))
            #expect(try await store.digest(try ArtifactPath("foreign")) == nil)
            #expect(try await read(store, "foreign") == [1])
        }
    }

    @Test("what a crash left half written is gone when the store opens, and the rest is there")
    func leftOver() async throws {
        try await withStore { store, folder in
            _ = try await put(store, "1/a", [[1]])
            try Data([9]).write(to: URL(fileURLWithPath: folder + "/.incoming/half"))
            let again = try FileArtifactStore(root: folder)
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/.incoming") == [])
            #expect(try await read(again, "1/a") == [1])
        }
    }

    @Test("a folder that cannot be made is the caller's mistake only where a file is in the way")
    func folders() async throws {
        try await withStore { store, folder in
            _ = try await put(store, "file", [[1]])
            try FileManager.default.createSymbolicLink(atPath: folder + "/lost", withDestinationPath: "/proc/none")
            for (path, code) in [("file/below/x", AerieError.Code.invalidArgument), ("lost/x", .unavailable)] {
                let error = await #expect(throws: AerieError.self) { _ = try await put(store, path, [[1]]) }
                #expect(error?.code == code, "\(path)")
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder + "/.incoming") == [])
        }
    }

    @Test("links are not followed, files are no folders, and the store's own folder is closed")
    func refuses() async throws {
        try await withStore { store, folder in
            try FileManager.default.createSymbolicLink(atPath: folder + "/link", withDestinationPath: "/etc/passwd")
            await #expect(throws: AerieError.self) { _ = try await read(store, "link") }
            #expect(try await store.entry(try ArtifactPath("link")) == nil)
            _ = try await put(store, "file", [[1]])
            await #expect(throws: AerieError.self) { _ = try await put(store, "file/below", [[1]]) }
            _ = try await put(store, "folder/x", [[1]])
            await #expect(throws: AerieError.self) { _ = try await put(store, "folder", [[1]]) }
            await #expect(throws: AerieError.self) { _ = try await put(store, ".incoming/x", [[1]]) }
            await #expect(throws: AerieError.self) { try await store.delete(.root) }
            await #expect(throws: AerieError.self) { _ = try await read(store, "nothing") }
        }
    }
}
