import AerieCore
import Experiments
import Logging
import Synchronization
import Testing

@testable import Retention

/// A store of runs in memory that keeps `PurgeStore`'s contract as far as one kind goes.
private final class MemoryPurgeStore: PurgeStore {
    struct State {
        var runs: [PurgeCandidate] = []
        var orphans: [OrphanedFiles] = []
        var holders: [String: String] = [:]
        var next: Int64 = 1
    }
    let state: Mutex<State>

    init(runs: Int) {
        state = Mutex(
            State(
                runs: (1...max(runs, 1)).prefix(runs).map { number in
                    PurgeCandidate(
                        kind: .run, id: "r\(number)", sequence: Int64(number), experiment: "1", name: "r\(number)",
                        location: "mlflow-artifacts:/1/r\(number)/artifacts", deletedTime: Timestamp(milliseconds: 0))
                }))
    }

    func candidates(
        _ kind: PurgeKind, _ selection: PurgeSelection, after: Int64, limit: Int
    ) async throws(AerieError) -> [PurgeCandidate] {
        guard kind == .run else { return [] }
        return state.withLock { Array($0.runs.filter { $0.sequence > after }.prefix(limit)) }
    }

    func purge(
        _ kind: PurgeKind, _ candidates: [PurgeCandidate], _ selection: PurgeSelection, at time: Timestamp
    ) async throws(AerieError) -> Set<String> {
        state.withLock { state in
            let gone = Set(candidates.map(\.id)).intersection(state.runs.map(\.id))
            for one in candidates where gone.contains(one.id) {
                state.orphans.append(
                    OrphanedFiles(sequence: state.next, kind: kind, owner: one.id, location: one.location))
                state.next += 1
            }
            state.runs.removeAll { gone.contains($0.id) }
            return gone
        }
    }

    func orphanedFiles(after: Int64, limit: Int) async throws(AerieError) -> [OrphanedFiles] {
        state.withLock { Array($0.orphans.filter { $0.sequence > after }.prefix(limit)) }
    }

    func forget(_ sequences: [Int64]) async throws(AerieError) {
        state.withLock { state in state.orphans.removeAll { sequences.contains($0.sequence) } }
    }

    func holders(of files: [OrphanedFiles], onlyVersions: Bool) async throws(AerieError) -> [String: String] {
        state.withLock { state in state.holders.filter { holder in files.contains { $0.location == holder.key } } }
    }
}

/// Files by their path, of which one may refuse to go.
private final class MemoryArtifacts: ArtifactStore {
    let files: Mutex<Set<String>>
    let stuck = Mutex<String?>(nil)
    init(_ files: [String]) { self.files = Mutex(Set(files)) }

    func put(_ path: ArtifactPath, next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Int64 {
        0
    }
    func open(_ path: ArtifactPath, range: Range<Int64>?) async throws(AerieError) -> any ArtifactReader {
        throw .notFound("\(path)")
    }
    func digest(_ path: ArtifactPath) async throws(AerieError) -> ContentDigest? { nil }
    func entry(_ path: ArtifactPath) async throws(AerieError) -> ArtifactEntry? { nil }
    func list(_ path: ArtifactPath) async throws(AerieError) -> [ArtifactEntry] {
        files.withLock { $0.contains(path.description) }
            ? [ArtifactEntry(path: path, isDirectory: false, size: 10)] : []
    }
    func delete(_ path: ArtifactPath) async throws(AerieError) {
        if stuck.withLock({ $0 }) == path.description { throw AerieError(.unavailable, "the disk is gone") }
        guard files.withLock({ $0.remove(path.description) }) != nil else { throw .notFound("\(path)") }
    }
}

@Suite struct RetentionServiceTests {
    private let all = PurgeSelection(deletedBefore: Timestamp(milliseconds: .max))

    private func service(_ store: MemoryPurgeStore, _ artifacts: MemoryArtifacts) -> RetentionService {
        RetentionService(store: store, artifacts: artifacts, clock: ManualClock(), batch: 2, logger: Logger(label: "t"))
    }

    @Test("all pages go, with their files")
    func pages() async throws {
        let store = MemoryPurgeStore(runs: 5)
        let artifacts = MemoryArtifacts((1...5).map { "1/r\($0)/artifacts" } + ["1/live/artifacts"])
        let report = try await service(store, artifacts).run(all, isDryRun: false) { _ in }
        #expect(report.counts[.run] == 5 && report.bytes == 50 && report.kept == 0)
        #expect(artifacts.files.withLock { $0 } == ["1/live/artifacts"])
        #expect(store.state.withLock { $0.orphans.isEmpty && $0.runs.isEmpty })
    }

    @Test("a dry run changes nothing")
    func dryRun() async throws {
        let store = MemoryPurgeStore(runs: 3)
        let artifacts = MemoryArtifacts((1...3).map { "1/r\($0)/artifacts" })
        let report = try await service(store, artifacts).run(all, isDryRun: true) { _ in }
        #expect(report.counts[.run] == 3 && report.bytes == 30)
        #expect(artifacts.files.withLock { $0.count } == 3)
        #expect(store.state.withLock { $0.runs.count } == 3)
    }

    @Test("what fails halfway is taken up by the next pass")
    func resume() async throws {
        let store = MemoryPurgeStore(runs: 5)
        let artifacts = MemoryArtifacts((1...5).map { "1/r\($0)/artifacts" })
        artifacts.stuck.withLock { $0 = "1/r3/artifacts" }
        await #expect(throws: AerieError.self) {
            try await service(store, artifacts).run(all, isDryRun: false) { _ in }
        }
        #expect(store.state.withLock { $0.orphans.map(\.owner) } == ["r3", "r4", "r5"])
        artifacts.stuck.withLock { $0 = nil }
        // Its files went, and the process died before it could say so.
        _ = artifacts.files.withLock { $0.remove("1/r4/artifacts") }
        let report = try await service(store, artifacts).run(all, isDryRun: false) { _ in }
        #expect(report.counts[.run] == nil && report.bytes == 20)
        #expect(artifacts.files.withLock { $0.isEmpty } && store.state.withLock { $0.orphans.isEmpty })
    }

    @Test("files that something refers to stay listed, and go once nothing does")
    func held() async throws {
        let store = MemoryPurgeStore(runs: 2)
        let artifacts = MemoryArtifacts(["1/r1/artifacts", "1/r2/artifacts"])
        store.state.withLock { $0.holders = ["mlflow-artifacts:/1/r1/artifacts": "models:/m/1"] }
        let report = try await service(store, artifacts).run(all, isDryRun: false) { _ in }
        #expect(report.counts[.run] == 2 && report.kept == 1)
        #expect(artifacts.files.withLock { $0 } == ["1/r1/artifacts"])
        store.state.withLock { $0.holders = [:] }
        _ = try await service(store, artifacts).run(all, isDryRun: false) { _ in }
        #expect(artifacts.files.withLock { $0.isEmpty })
    }

    @Test("one pass at a time")
    func single() async throws {
        let service = service(MemoryPurgeStore(runs: 1), MemoryArtifacts([]))
        let all = all
        let second = Mutex<AerieError.Code?>(nil)
        _ = try await service.run(all, isDryRun: true) { _ in
            do throws(AerieError) { _ = try await service.run(all, isDryRun: true) { _ in } } catch {
                second.withLock { $0 = error.code }
            }
        }
        #expect(second.withLock { $0 } == .conflict)
        _ = try await service.run(all, isDryRun: true) { _ in }
    }

    @Test("a listener that has gone ends the pass")
    func gone() async throws {
        let store = MemoryPurgeStore(runs: 5)
        await #expect(throws: AerieError.self) {
            try await service(store, MemoryArtifacts([])).run(all, isDryRun: false) { _ throws(AerieError) in
                throw AerieError(.cancelled, "gone")
            }
        }
        #expect(store.state.withLock { $0.runs.count } == 3)
    }
}
