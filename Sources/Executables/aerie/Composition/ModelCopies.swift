import AerieCore
import Crypto
import Experiments
import Foundation
import Synchronization

/// Models of artifact stores elsewhere, copied to this machine, where engines can open their files.
///
/// A registered version's files do not change and are copied once; all others are copied each time they are asked
/// for, and stand under the hash of what they hold. A copy appears whole or not at all. When the copies are larger than
/// `limit` together, those that were asked for longest ago go, except the one that is being handed out. Any task may
/// ask; one copy of a model is made at a time.
actor ModelCopies {
    private let folder: String
    private let limit: Int64
    private var underWay: [String: Task<Result<String, AerieError>, Never>] = [:]

    private static let incoming = ".incoming"

    /// - Parameter limit: bytes.
    init(folder: String, limit: Int64 = 20 << 30) {
        self.folder = folder
        self.limit = limit
        // What an earlier process was at when it ended.
        try? FileManager.default.removeItem(atPath: "\(folder)/\(Self.incoming)")
    }

    /// The folder or file on this machine.
    /// - Parameters:
    ///   - place: what the path in its store is called, unlike any of another store.
    ///   - isFixed: what stands at the path never changes.
    /// - Throws: `notFound` if nothing is there; what the store says otherwise.
    func local(
        _ path: ArtifactPath, of store: any ArtifactStore, as place: String, isFixed: Bool
    ) async throws(AerieError) -> String {
        let name = Hexadecimal.encode(SHA256.hash(data: Data(place.utf8)))
        if isFixed, let known = known("\(folder)/\(name)/\(path.name)") { return known }
        if let task = underWay[name] { return try await task.value.get() }
        let task = Task { () async -> Result<String, AerieError> in
            do throws(AerieError) {
                return .success(try await copy(path, of: store, as: isFixed ? name : nil))
            } catch { return .failure(error) }
        }
        underWay[name] = task
        let result = await task.value
        underWay[name] = nil
        return try result.get()
    }

    private func known(_ place: String) -> String? {
        guard FileManager.default.fileExists(atPath: place) else { return nil }
        let parent = (place as NSString).deletingLastPathComponent
        try? FileManager.default.setAttributes([.modificationDate: Date()], ofItemAtPath: parent)
        return place
    }

    private func copy(
        _ path: ArtifactPath, of store: any ArtifactStore, as name: String?
    ) async throws(AerieError) -> String {
        guard let entry = try await store.entry(path) else { throw .notFound("No artifact at \(path)") }
        let temporary = "\(folder)/\(Self.incoming)/\(IdentifierSource.system.hex32())"
        defer { try? FileManager.default.removeItem(atPath: temporary) }
        var hash = SHA256()
        try await copy(entry, of: store, to: "\(temporary)/\(path.name)", &hash)
        let final = "\(folder)/\(name ?? Hexadecimal.encode(hash.finalize()))"
        if let known = known("\(final)/\(path.name)") { return known }
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            try? FileManager.default.removeItem(atPath: final)
            try FileManager.default.moveItem(atPath: temporary, toPath: final)
        } catch { throw AerieError(.unavailable, "the copy of \(path) cannot be put into \(folder)", cause: error) }
        evict(except: final)
        return "\(final)/\(path.name)"
    }

    private func copy(
        _ entry: ArtifactEntry, of store: any ArtifactStore, to place: String, _ hash: inout SHA256
    ) async throws(AerieError) {
        hash.update(data: Data("\(entry.path)\0".utf8))
        guard entry.isDirectory else { return try await copyFile(entry.path, of: store, to: place, &hash) }
        try Self.makeFolder(place)
        for child in try await store.list(entry.path) {
            try await copy(child, of: store, to: "\(place)/\(child.path.name)", &hash)
        }
    }

    private func copyFile(
        _ path: ArtifactPath, of store: any ArtifactStore, to place: String, _ hash: inout SHA256
    ) async throws(AerieError) {
        try Self.makeFolder((place as NSString).deletingLastPathComponent)
        guard FileManager.default.createFile(atPath: place, contents: nil),
            let file = FileHandle(forWritingAtPath: place)
        else { throw AerieError(.unavailable, "\(place) cannot be made for a copy of \(path)") }
        defer { try? file.close() }
        let reader = try await store.open(path, range: nil)
        var written: Int64 = 0
        while let piece = try await reader.next() {
            hash.update(data: piece)
            written += Int64(piece.count)
            do { try file.write(contentsOf: piece) } catch {
                throw AerieError(.resourceExhausted, "\(path) cannot be copied to \(folder)", cause: error)
            }
        }
        guard written == reader.size else {
            throw AerieError(.dataLoss, "\(path) has \(reader.size) bytes, but only \(written) of them came")
        }
        do { try file.synchronize() } catch {
            throw AerieError(.unavailable, "\(place) cannot be synced", cause: error)
        }
    }

    private static func makeFolder(_ place: String) throws(AerieError) {
        do { try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true) } catch {
            throw AerieError(.unavailable, "the folder \(place) cannot be made", cause: error)
        }
    }

    private func evict(except kept: String) {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        var copies = names.filter { $0 != Self.incoming }.map { name -> (place: String, size: Int64, used: Date) in
            let place = "\(folder)/\(name)"
            let used = try? FileManager.default.attributesOfItem(atPath: place)[.modificationDate] as? Date
            return (place, Self.size(of: place), used ?? .distantPast)
        }
        copies.sort { $0.used < $1.used }
        var total = copies.reduce(0) { $0 + $1.size }
        for copy in copies where total > limit && copy.place != kept {
            try? FileManager.default.removeItem(atPath: copy.place)
            total -= copy.size
        }
    }

    private static func size(of folder: String) -> Int64 {
        var total: Int64 = 0
        for name in FileManager.default.enumerator(atPath: folder)?.compactMap({ $0 as? String }) ?? [] {
            let size = try? FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.size] as? NSNumber
            total += size?.int64Value ?? 0
        }
        return total
    }
}
