import AerieCore
import AerieJSON
import AerieResources
import Datasets
import Foundation
import StoreDuckDB
import Streaming
import Testing

@testable import Features

/// A batch source and a stream that both have some of the events: what is read online is what the source alone says.
@Suite struct WindowBackfillTests {
    /// One generated stream, whose source is a file that grows as events arrive.
    private final class Scene {
        var one: WindowAgreementTests.Case
        let clock = ManualClock(Timestamp(milliseconds: 0))
        let engine = DuckDBEngine(options: .init(threads: 1))
        private(set) var shop: Workshop
        private(set) var folders: [String] = []
        private let path: String
        private var inserted = 0

        init(seed: UInt64) async throws {
            let folder = NSTemporaryDirectory() + "backfill-\(UUID().uuidString)"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            path = folder + "/events.parquet"
            one = try WindowAgreementTests.Case(seed: seed, source: path, knowsArrivals: seed % 4 != 3)
            shop = try Workshop(folder: folder + "/0", clock: clock, hasStreams: true)
            folders = [folder]
            try await WindowAgreementTests.makeTable(in: engine)
            let documents: [JSONValue] = [
                [
                    "apiVersion": "aerie.dev/v1", "kind": "Entity", "metadata": ["name": "user"],
                    "spec": ["joinKey": "user_id", "valueType": "INT64"],
                ],
                [
                    "apiVersion": "aerie.dev/v1", "kind": "FeatureView", "metadata": ["name": "spend"],
                    "spec": .object(one.spec),
                ],
            ]
            _ = try await shop.resources.apply(documents.map { $0.text() }.joined(separator: "\n---\n"), actor: "test")
        }

        func end() { for folder in folders { try? FileManager.default.removeItem(atPath: folder) } }

        var view: FeatureCatalog.View { get async throws { try await shop.store.catalog().view("spend") } }

        /// Time goes on to the arrival of an event, and what came until then is in the source.
        func arrive(_ end: Int) async throws {
            clock.set(milliseconds: one.events[end - 1].arrival / 1000)
            try await WindowAgreementTests.insert(one.events[inserted..<end], into: engine)
            inserted = end
        }

        func push(_ events: Range<Int>) async throws {
            let view = try await view
            let reader = StreamEventReader(view, try #require(view.definition.windows))
            let events = try one.events[events].map { try $0.read(by: reader) }
            _ = try await shop.store.streams().processor(view).ingest(StreamBatch(events: events))
        }

        func backfill() async throws {
            try await engine.execute("COPY events TO \(sqlString(path)) (FORMAT parquet)")
            _ = try await shop.store.materialize(["spend"], from: 0, to: clock.now().milliseconds * 1000)
        }

        /// Another process on what the files hold.
        func restart() throws {
            let next = folders[0] + "/\(IdentifierSource.system.hex32())"
            try FileManager.default.copyItem(atPath: shop.folder, toPath: next)
            shop = try Workshop(folder: next, clock: clock, hasStreams: true)
        }

        /// - Returns: the cells that were compared, and those among them that are not empty.
        func compare(_ place: String) async throws -> (cells: Int, filled: Int) {
            let view = try await view
            let keys = try (0..<4).map { try view.entityKey.bytes([.int64(Int64($0))]) }
            let read = OnlineRead(view: view.online, features: Array(view.online.features.indices), keys: keys)
            let got = try await shop.store.online.read([read])[0].map { $0?.values ?? [] }
            var table = one.view
            table.definition = try tableDefinition
            let want = try await WindowAgreementTests.offline(table, at: clock.now().milliseconds * 1000, engine)
            var (cells, filled) = (0, 0)
            for user in 0..<4 {
                for (number, feature) in view.online.features.enumerated() {
                    let (online, offline) = (got[user][number], want[user][number])
                    #expect(
                        WindowAgreementTests.agree(online, offline),
                        "\(place), user \(user), \(feature): \(online) online, \(offline) offline")
                    cells += 1
                    if online != .null, online != .int64(0) { filled += 1 }
                }
            }
            return (cells, filled)
        }

        /// The view over the engine's own table, which always has all that has arrived.
        private var tableDefinition: FeatureViewDefinition {
            get throws {
                var spec = one.spec
                var source = spec["source"]?.object ?? [:]
                source["path"] = nil
                source["table"] = "events"
                spec["source"] = .object(source)
                return try FeatureViewDefinition.parse(spec, name: "spend")
            }
        }
    }

    @Test("a source and a stream that overlap say what the source alone would, at every instant looked at", arguments: 0..<4)
    func agreement(part: Int) async throws {
        var (cells, filled) = (0, 0)
        for seed in UInt64(part * 5)..<UInt64(part * 5 + 5) {
            let scene = try await Scene(seed: 1000 + seed)
            defer { scene.end() }
            let count = scene.one.events.count
            // Until here only the source has the events, and the stream from here on.
            let cut = scene.one.random.integer(1, count - 2)
            try await scene.arrive(cut)
            let isFilledFirst = scene.one.random.chance(0.4)
            if isFilledFirst {
                try await scene.backfill()
                _ = try await scene.compare("seed \(seed) before the stream")
            }
            var (next, isFilled) = (cut, isFilledFirst)
            while next < count {
                let end = min(count, next + scene.one.random.integer(1, 25))
                try await scene.arrive(end)
                try await scene.push(next..<end)
                next = end
                if scene.one.random.chance(0.25) { try scene.restart() }
                if scene.one.random.chance(0.3) || end == count {
                    scene.clock.advance(milliseconds: 1)
                    for _ in 0...scene.one.random.below(2) { try await scene.backfill() }
                    isFilled = true
                }
                guard isFilled else { continue }
                let found = try await scene.compare("seed \(seed) cut at \(cut), after \(next)")
                (cells, filled) = (cells + found.cells, filled + found.filled)
            }
        }
        // The streams must be worth something.
        #expect(cells > 500 && filled > cells / 5, "\(filled) of \(cells)")
    }
}
