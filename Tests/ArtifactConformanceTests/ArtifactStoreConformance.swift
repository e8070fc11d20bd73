import AerieCore
import Experiments
import Foundation
import StoreFiles
import StoreObjects
import Testing

/// What every store of artifacts promises, asked of plain files and of a real S3 server.
@Suite(.serialized) struct ArtifactStoreConformance {
    enum Kind: String, CaseIterable, CustomTestStringConvertible {
        case files, objects
        var testDescription: String { rawValue }
    }

    private func withStore(_ kind: Kind, _ body: (any ArtifactStore) async throws -> Void) async throws {
        let name = IdentifierSource.system.hex32()
        switch kind {
        case .files:
            let folder = NSTemporaryDirectory() + "aerie-artifacts-" + name
            defer { try? FileManager.default.removeItem(atPath: folder) }
            try await body(try FileArtifactStore(root: folder))
        case .objects:
            let server = try await ObjectServer()
            defer { server.stop() }
            try await body(try server.store("some prefix/" + name))
        }
    }

    private func put(_ store: any ArtifactStore, _ path: String, _ pieces: [[UInt8]]) async throws -> Int64 {
        var rest = pieces[...]
        let next = { () async throws(AerieError) -> [UInt8]? in rest.popFirst() }
        return try await store.put(try ArtifactPath(path), next: next)
    }

    private func read(
        _ store: any ArtifactStore, _ path: String, _ range: Range<Int64>? = nil
    ) async throws -> [UInt8] {
        let reader = try await store.open(try ArtifactPath(path), range: range)
        var all: [UInt8] = []
        while let piece = try await reader.next() {
            #expect(piece.count <= 1 << 20 && !piece.isEmpty)
            all += piece
        }
        return all
    }

    @Test(arguments: Kind.allCases) func whatIsPutComesBackWholeAndInPart(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            let pieces = (0..<5).map { index in [UInt8](repeating: UInt8(index), count: 200_000) }
            #expect(try await put(store, "1/a/b.bin", pieces) == 1_000_000)
            #expect(try await read(store, "1/a/b.bin") == pieces.flatMap { $0 })
            #expect(try await read(store, "1/a/b.bin", 199_999..<200_001) == [0, 1])
            #expect(try await read(store, "1/a/b.bin", 999_999..<2_000_000) == [4])
            #expect(try await read(store, "1/a/b.bin", 2_000_000..<3_000_000) == [])
            #expect(try await put(store, "1/a/empty", []) == 0)
            #expect(try await read(store, "1/a/empty") == [])
            _ = try await put(store, "1/a/b.bin", [[7]])
            #expect(try await read(store, "1/a/b.bin") == [7])
        }
    }

    @Test(arguments: Kind.allCases) func contentsAreToldApartWithoutReadingThem(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            let large = [[UInt8]](repeating: [UInt8](repeating: 1, count: 1 << 20), count: 9)
            _ = try await put(store, "a", [[1, 2], [3]])
            _ = try await put(store, "b", [[1], [2, 3]])
            _ = try await put(store, "c", [[1, 2, 4]])
            _ = try await put(store, "large", large)
            _ = try await put(store, "larger", large)
            _ = try await put(store, "other", large.dropLast() + [[UInt8](repeating: 2, count: 1 << 20)])
            func digest(_ path: String) async throws -> ContentDigest {
                try #require(try await store.digest(try ArtifactPath(path)))
            }
            #expect(try await digest("a") == digest("b"))
            #expect(try await digest("a").kind == digest("c").kind)
            #expect(try await digest("a") != digest("c"))
            #expect(try await digest("large") == digest("larger"))
            #expect(try await digest("large").kind == digest("other").kind)
            #expect(try await digest("large") != digest("other"))
            #expect(try await store.open(try ArtifactPath("a"), range: nil).digest == digest("a"))
            let known = kind == .files
                ? ContentDigest(
                    kind: "sha-256", text: "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81")
                : ContentDigest(kind: "md5", text: "5289df737df57326fcdd22597afb1fac")
            #expect(try await digest("a") == known)
            let missing = await #expect(throws: AerieError.self) { try await store.digest(try ArtifactPath("none")) }
            #expect(missing?.code == .notFound)
        }
    }

    @Test(arguments: Kind.allCases) func filesAndFoldersAreToldApart(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            #expect(try await store.list(.root) == [])
            #expect(try await store.list(try ArtifactPath("nothing/here")) == [])
            #expect(try await store.entry(try ArtifactPath("nothing")) == nil)
            for name in ["1/run/model/MLmodel", "1/run/model/data/x.bin", "1/run/model.txt", "1/run/model-2/y", "2/z"] {
                _ = try await put(store, name, [[1, 2, 3]])
            }
            let run = try await store.list(try ArtifactPath("1/run"))
            #expect(run.map(\.path.description) == ["1/run/model", "1/run/model-2", "1/run/model.txt"])
            #expect(run.map(\.isDirectory) == [true, true, false])
            #expect(run.map(\.size) == [nil, nil, 3])
            #expect(try await store.list(.root).map(\.path.description) == ["1", "2"])
            let file = try await store.list(try ArtifactPath("2/z"))
            #expect(file == [ArtifactEntry(path: try ArtifactPath("2/z"), isDirectory: false, size: 3)])
            #expect(try await store.entry(try ArtifactPath("1/run/model"))?.isDirectory == true)
            #expect(try await store.entry(try ArtifactPath("1/run/mod")) == nil)
            await #expect(throws: AerieError.self) {
                _ = try await store.open(try ArtifactPath("1/run/model"), range: nil)
            }
            let missing = await #expect(throws: AerieError.self) {
                _ = try await store.open(try ArtifactPath("1/run/none"), range: nil)
            }
            #expect(missing?.code == .notFound)
        }
    }

    @Test(arguments: Kind.allCases) func namesOfEveryKind(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            let names = [
                "plain", "with space", "größe ✓ 特徴", "a+b", "a&b<c>'\"", "100%", "%41", "q?x=1#y", "~tilde", "a=b;c,d",
                ".hidden", "e\u{301}", "semi;colon", "[x]*{y}",
            ]
            for name in names { _ = try await put(store, "names/" + name, [Array(name.utf8)]) }
            let listed = try await store.list(try ArtifactPath("names")).map(\.path.name)
            #expect(listed == names.sorted())
            for name in names { #expect(try await read(store, "names/" + name) == Array(name.utf8)) }
            try await store.delete(try ArtifactPath("names/a&b<c>'\""))
            #expect(try await store.entry(try ArtifactPath("names/a&b<c>'\"")) == nil)
            try await store.delete(try ArtifactPath("names"))
            #expect(try await store.list(.root) == [])
        }
    }

    @Test(arguments: Kind.allCases) func deletingTakesAFolderWithAllThatIsInIt(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            for name in ["1/a/x", "1/a/deep/y", "1/ab/z"] { _ = try await put(store, name, [[1]]) }
            try await store.delete(try ArtifactPath("1/a"))
            #expect(try await store.list(try ArtifactPath("1")).map(\.path.description) == ["1/ab"])
            let missing = await #expect(throws: AerieError.self) { try await store.delete(try ArtifactPath("1/a")) }
            #expect(missing?.code == .notFound)
            await #expect(throws: AerieError.self) { try await store.delete(.root) }
            #expect(try await read(store, "1/ab/z") == [1])
        }
    }

    @Test(arguments: Kind.allCases) func anUploadThatBreaksOffLeavesNothing(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            _ = try await put(store, "a", [[1]])
            for pieces in [2, 30] {
                var count = 0
                let next = { () async throws(AerieError) -> [UInt8]? in
                    count += 1
                    if count > pieces { throw AerieError(.cancelled, "gone") }
                    return [UInt8](repeating: 9, count: 1 << 20)
                }
                await #expect(throws: AerieError.self) { _ = try await store.put(try ArtifactPath("a"), next: next) }
                await #expect(throws: AerieError.self) {
                    _ = try await store.put(try ArtifactPath("new/b"), next: next)
                }
            }
            #expect(try await read(store, "a") == [1])
            #expect(try await store.entry(try ArtifactPath("new/b")) == nil)
        }
    }

    /// More than a part of a multipart upload, and not a whole number of them.
    @Test(arguments: Kind.allCases) func largeFiles(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            let piece = (0..<1_000_003).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ ($0 >> 8)) }
            var left = 27
            let next = { () async throws(AerieError) -> [UInt8]? in
                left -= 1
                return left >= 0 ? piece : nil
            }
            #expect(try await store.put(try ArtifactPath("big"), next: next) == 27 * 1_000_003)
            let reader = try await store.open(try ArtifactPath("big"), range: nil)
            #expect(reader.size == 27 * 1_000_003)
            var at = 0
            while let part = try await reader.next() {
                // Compared in wholes: element by element takes minutes without optimization.
                let start = at % piece.count
                let expected = Array((piece[start...] + piece + piece).prefix(part.count))
                #expect(part == expected)
                at += part.count
            }
            #expect(at == 27 * 1_000_003)
            let tail = try await read(store, "big", 26_999_000..<27_000_081)
            #expect(tail == Array((piece + piece)[(26_999_000 % 1_000_003)...].prefix(1081)))
        }
    }

    @Test(arguments: Kind.allCases) func writersOfOnePathDoNotMix(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for writer in 0..<8 {
                    group.addTask {
                        _ = try await put(
                            store, "shared",
                            [[UInt8]](repeating: [UInt8](repeating: UInt8(writer), count: 1000), count: 5))
                    }
                }
                try await group.waitForAll()
            }
            let all = try await read(store, "shared")
            #expect(all.count == 5000 && Set(all).count == 1)
        }
    }

    @Test(arguments: Kind.allCases) func foldersOfThousands(_ kind: Kind) async throws {
        try await withStore(kind) { store in
            // Past two pages of a listing, and two batches of a deletion.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<8 {
                    group.addTask {
                        for index in stride(from: worker, to: 2300, by: 8) {
                            _ = try await put(store, "many/f\(index)", [[1]])
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await store.list(try ArtifactPath("many")).count == 2300)
            try await store.delete(try ArtifactPath("many"))
            #expect(try await store.list(try ArtifactPath("many")) == [])
        }
    }
}
