// How long ten features of an entity take to read in this process out of LMDB, as predictions read them: the keys put
// into lookups that are kept, the rows read where they lie, the numbers filled into a model's row.
//
//     OnlineReads [--entities 100000] [--features 10]
//
// Entities are asked for in an order without a pattern, 1 and 100 in a read. Prints a line for each: nanoseconds for an
// entity (the median of 15 windows, and the best), and allocations in a read.
import AerieCore
import AerieResources
import AllocationCounter
import Features
import Foundation
import StoreLMDB
import StoreSQLite

func option(_ name: String, _ fallback: Int) -> Int {
    CommandLine.arguments.firstIndex(of: name).flatMap {
        $0 + 1 < CommandLine.arguments.count ? Int(CommandLine.arguments[$0 + 1]) : nil
    } ?? fallback
}

let entityCount = option("--entities", 100_000)
let featureCount = option("--features", 10)
let folder = FileManager.default.temporaryDirectory.appendingPathComponent("reads-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }

let database = try MetadataDatabase(path: folder.path + "/metadata.db", migrations: SQLiteResourceStore.migrations)
let resources = ResourceService(
    store: SQLiteResourceStore(database: database),
    kinds: KindRegistry([EntityKind(), FeatureViewKind(), FeatureServiceKind()]))
let online = try LMDBOnlineStore(path: folder.path + "/online.mdb")
let store = FeatureStore(resources: resources, online: online) { () throws(AerieError) in
    throw AerieError(.unsupported, "nothing is read offline here")
}
let names = (0..<featureCount).map { "f\($0)" }
_ = try await resources.apply(
    """
    apiVersion: aerie.dev/v1
    kind: Entity
    metadata: {name: driver}
    spec: {joinKey: driver_id, valueType: INT64}
    ---
    apiVersion: aerie.dev/v1
    kind: FeatureView
    metadata: {name: stats}
    spec:
      entities: [driver]
      ttl: "86400s"
      source: {type: push, timestampField: event_timestamp}
      features: [\(names.map { "{name: \($0), dtype: DOUBLE}" }.joined(separator: ", "))]
    ---
    apiVersion: aerie.dev/v1
    kind: FeatureService
    metadata: {name: scoring}
    spec: {features: [\(names.map { "\"stats:\($0)\"" }.joined(separator: ", "))]}
    """, actor: "benchmark")

let view = try await store.catalog().view("stats")
let now = SystemClock().now().milliseconds * 1000
for start in stride(from: 0, to: entityCount, by: 10_000) {
    let rows = try (start..<min(start + 10_000, entityCount)).map { entity in
        OnlineRow(
            key: try view.entityKey.bytes([.int64(Int64(entity))]), time: now,
            values: names.indices.map { .double(Double(entity) + Double($0) / 100) })
    }
    _ = try await online.write(view.online, rows)
}

guard let lookups = try await store.vectors(service: "scoring").lookups(online.reader()) else {
    fatalError("the service is not read where its rows lie")
}
var state: UInt64 = 42
/// What has been read, so that nobody leaves the reading out; and it is compared with what was written.
var (sum, wanted) = (0.0, 0.0)

@MainActor func read(_ count: Int) {
    lookups.begin()
    for _ in 0..<count {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let entity = Int64((state >> 33) % UInt64(entityCount))
        wanted += Double(entity)
        guard lookups.append(entity, key: 0) else { fatalError("a key was not taken") }
    }
    guard lookups.end() == count else { fatalError("entities were lost") }
    lookups.read()
    for row in 0..<count { sum += lookups.value(0, row: row) }
}

for count in [1, 100] {
    let calls = 200_000 / count
    for _ in 0..<calls { read(count) }
    let before = allocation_count()
    for _ in 0..<calls { read(count) }
    let allocations = Double(allocation_count() - before) / Double(calls)
    var windows: [Double] = []
    for _ in 0..<15 {
        let start = monotonicNanoseconds()
        for _ in 0..<calls { read(count) }
        windows.append(Double(monotonicNanoseconds() - start) / Double(calls * count))
    }
    windows.sort()
    precondition(lookups.failure == nil && sum == wanted, "other numbers were read than were written")
    print(
        "\(count) of \(entityCount) entities, \(featureCount) features: \(Int(windows[7])) ns an entity "
            + "(best \(Int(windows[0]))), \(allocations) allocations a read")
}
