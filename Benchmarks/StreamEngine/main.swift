// How many events a second one core counts into four windows, made lasting and published; and what an entity costs.
//
//     StreamEngine [--events 2000000] [--entities 50000] [--batch 20000]
//
// Prints a line for each way: only the state machine in memory; with commits and the online store in LMDB below a
// temporary folder. Pin it to one core (`taskset -c 0`) to get the figure of one core.
import AerieCore
import Features
import Foundation
import StoreLMDB
import Streaming

func option(_ name: String, _ fallback: Int) -> Int {
    CommandLine.arguments.firstIndex(of: name).flatMap {
        $0 + 1 < CommandLine.arguments.count ? Int(CommandLine.arguments[$0 + 1]) : nil
    } ?? fallback
}

let eventCount = option("--events", 2_000_000)
let entityCount = option("--entities", 50_000)
let batchSize = option("--batch", 20_000)
let hour: Int64 = 3_600_000_000
let plan = WindowPlan(
    [
        .init(name: "velocity_1h", function: .count, column: nil, window: hour),
        .init(name: "velocity_24h", function: .count, column: nil, window: 24 * hour),
        .init(name: "total_7d", function: .sum, column: "amount", window: 7 * 24 * hour),
        .init(name: "average_30d", function: .mean, column: "amount", window: 30 * 24 * hour),
    ], allowedLateness: hour)
let start: Int64 = 1_790_000_000_000_000

/// An hour of events, some minutes out of order, of entities of which some have many.
struct Events {
    var state: UInt64 = 42
    var made = 0

    mutating func random() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }

    mutating func next(_ key: EntityKey) throws -> StreamEvent {
        let arrival = start + Int64(Double(made) / Double(eventCount) * Double(hour))
        made += 1
        // The square of a uniform number: the first tenth of the entities has a third of the events.
        let uniform = Double(random() >> 11) * 0x1p-53
        let entity = Int64(uniform * uniform * Double(entityCount))
        let delay = Int64(random() % 120_000_000)
        return StreamEvent(
            key: try key.bytes([.int64(entity)]), time: arrival - delay, arrival: arrival, id: random(),
            values: [.number(Double(random() % 50_000) / 100)])
    }
}

func processorSeconds() -> Double {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}

func report(_ name: String, _ count: Int, _ wall: Double, _ processor: Double, _ more: String = "") {
    func thousands(_ value: Double) -> String { "\(Int(value / 1000))k" }
    print(
        "\(name): \(thousands(Double(count) / wall)) events/s, \(thousands(Double(count) / processor)) a CPU second\(more)"
    )
}

let key = EntityKey(names: ["card_id"])
var source = Events()
var batches: [[StreamEvent]] = []
for _ in 0..<(eventCount / batchSize) {
    batches.append(try (0..<batchSize).map { _ in try source.next(key) })
}
let total = batches.count * batchSize

// The state machine alone.
do {
    var states: [[UInt8]: EntityWindows] = [:]
    let (wall, processor) = (monotonicNanoseconds(), processorSeconds())
    for batch in batches {
        for event in batch { _ = states[event.key, default: EntityWindows(plan)].apply(event, plan) }
    }
    report(
        "state machine", total, Double(monotonicNanoseconds() - wall) / 1e9, processorSeconds() - processor)
    let sizes = states.values.map { $0.bytes(plan).count }
    print(
        "state of an entity: \(sizes.reduce(0, +) / sizes.count) bytes on average, \(sizes.max() ?? 0) at most, "
            + "\(total / states.count) events each")
    var reads = 0
    let reading = monotonicNanoseconds()
    for state in states.values {
        reads += state.values(at: start + hour, plan).count
        if reads >= 400_000 { break }
    }
    print("four windows of an entity: \(Int(Double(monotonicNanoseconds() - reading) / Double(reads) * 4)) ns")
}

// With commits that are on the disk, and the online store.
let folder = FileManager.default.temporaryDirectory.appendingPathComponent("stream-\(UUID().uuidString)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }
let clock = ManualClock(Timestamp(milliseconds: start / 1000))
let online = try LMDBOnlineStore(path: folder.path + "/online.mdb")
let view = OnlineView(project: "default", name: "cards", features: ["tiles"])
let processor = StreamProcessor(
    stream: "cards", plan: plan, store: try LMDBStreamStore(path: folder.path + "/streams.mdb"), clock: clock
) { states throws(AerieError) in
    _ = try await online.write(
        view,
        states.map {
            OnlineRow(key: $0.key, time: $0.latest, created: $0.version, values: [.bytes($0.bytes)])
        })
}
let (wall, before) = (monotonicNanoseconds(), processorSeconds())
var slowest: UInt64 = 0
// Two batches at a time, as a consumer of two partitions that is behind has them: as much as it takes at once.
for pair in stride(from: 0, to: batches.count, by: 2) {
    clock.set(milliseconds: (batches[min(pair + 1, batches.count - 1)].last?.arrival ?? start) / 1000)
    let began = monotonicNanoseconds()
    async let first = processor.ingest(StreamBatch(events: batches[pair]))
    if pair + 1 < batches.count { _ = try await processor.ingest(StreamBatch(events: batches[pair + 1])) }
    _ = try await first
    slowest = max(slowest, monotonicNanoseconds() - began)
}
report(
    "committed and published", total, Double(monotonicNanoseconds() - wall) / 1e9, processorSeconds() - before,
    ", \(slowest / 1_000_000) ms for the slowest \(2 * batchSize)")
