import Synchronization

/// The counters and histograms of one event loop.
///
/// Only that loop writes; any thread reads at a scrape. So a write is a plain load and store (relaxed, no bus lock) and
/// a read may miss the newest few, never see a torn number. The first request of a slot, service and code allocates
/// its cells; all later ones allocate nothing and take no lock.
///
/// `@unchecked Sendable`: the cells are atomics behind raw memory, which the compiler cannot see through. They are
/// allocated once, published by a releasing store and freed in `deinit`.
public final class LoopMetrics: @unchecked Sendable {
    typealias Cells = UnsafeMutablePointer<Atomic<Int>>

    /// Which duration a series holds: the whole request, the model's part of it, or the read of its features.
    enum Part: Int, CaseIterable { case server, client, features }

    private static let chunkCount = 1024
    private static let slotsPerChunk = 256
    private static let seriesPerSlot = Part.allCases.count * ServiceKind.allCases.count * OutcomeCode.count
    /// Cells 0 and 1 of a slot count negative and positive predictions, 2 counts rows, 3 and 4 missing and stale
    /// features, 5 holds the second of the last request; the rest point to series.
    private static let firstSeries = 6
    /// Behind the series: one for each stage of a request.
    private static let firstStage = firstSeries + seriesPerSlot
    private static let cellsPerSlot = firstStage + RequestStage.allCases.count
    /// Cells 0 and 1 of a series are the sum and the maximum in nanoseconds; the rest are its buckets.
    private static let firstBucket = 2

    private let directory: Cells
    private let unrouted: Cells
    private let bounds: UnsafeMutablePointer<UInt64>

    public init() {
        directory = Self.makeCells(Self.chunkCount)
        unrouted = Self.makeCells(Self.cellsPerSlot)
        bounds = .allocate(capacity: LatencyBuckets.nanoseconds.count)
        bounds.initialize(from: LatencyBuckets.nanoseconds, count: LatencyBuckets.nanoseconds.count)
    }

    deinit {
        for chunk in 0..<Self.chunkCount {
            guard let slots = Self.follow(directory + chunk) else { continue }
            for slot in 0..<Self.slotsPerChunk {
                if let block = Self.follow(slots + slot) { Self.freeSlot(block) }
            }
            slots.deallocate()
        }
        Self.freeSlot(unrouted)
        directory.deallocate()
        bounds.deallocate()
    }

    /// Counts one answered request.
    /// - Parameters:
    ///   - slot: `ServedPredictor.metricsSlot`, or -1 for a request that found no deployment.
    ///   - code: the HTTP status, or the gRPC code's number.
    ///   - nanoseconds: from the last byte read until the answer is written.
    @inline(__always)
    public func record(slot: Int, service: ServiceKind, code: Int, nanoseconds: UInt64) {
        record(.server, slot, service, code, nanoseconds)
    }

    /// Counts the model's part of a request: what Seldon's executor measures as its call to the model.
    @inline(__always)
    public func recordModel(slot: Int, service: ServiceKind, code: Int, nanoseconds: UInt64) {
        record(.client, slot, service, code, nanoseconds)
    }

    /// Counts predictions by their side of the deployment's threshold (`PredictionLabels`).
    public func recordPredictions(slot: Int, negative: Int, positive: Int) {
        guard let block = block(for: slot) else { return }
        Self.add(block, negative)
        Self.add(block + 1, positive)
    }

    /// Counts predicted rows.
    /// - Parameter second: of the epoch, as the loop knows it.
    public func recordRows(slot: Int, count: Int, second: Int = 0) {
        guard let block = block(for: slot) else { return }
        Self.add(block + 2, count)
        (block + 5).pointee.store(second, ordering: .relaxed)
    }

    /// Counts one read of features.
    /// - Parameters:
    ///   - code: 200 or 0 for a read that came back, as `service` counts; else that of what went wrong.
    ///   - missing: cells that a default or nothing stands in for.
    ///   - stale: cells whose value was too old.
    public func recordFeatures(
        slot: Int, service: ServiceKind, code: Int, nanoseconds: UInt64, missing: Int, stale: Int
    ) {
        record(.features, slot, service, code, nanoseconds)
        guard let block = block(for: slot) else { return }
        Self.add(block + 3, missing)
        Self.add(block + 4, stale)
    }

    /// Counts how long each stage of an answered request took, as far as it came through them.
    public func recordStages(slot: Int, _ timeline: RequestTimeline) {
        guard let block = block(for: slot) else { return }
        for stage in RequestStage.allCases {
            guard var duration = timeline.duration(stage) else { continue }
            if stage == .preprocess, let decoding = timeline.decoding {
                duration &+= decoding.upperBound - decoding.lowerBound
            }
            add(duration, to: block + Self.firstStage + stage.rawValue)
        }
    }

    private func record(_ part: Part, _ slot: Int, _ service: ServiceKind, _ code: Int, _ nanoseconds: UInt64) {
        guard let block = block(for: slot) else { return }
        add(nanoseconds, to: block + Self.seriesIndex(part, service, OutcomeCode.index(of: code, service)))
    }

    private func add(_ nanoseconds: UInt64, to cell: Cells) {
        let series = Self.followOrMake(cell, Self.firstBucket + LatencyBuckets.count)
        let value = Int(clamping: nanoseconds)
        Self.add(series, value)
        if value > (series + 1).pointee.load(ordering: .relaxed) {
            (series + 1).pointee.store(value, ordering: .relaxed)
        }
        Self.add(series + Self.firstBucket + bucket(of: nanoseconds), 1)
    }

    /// The first bucket whose bound is not below the value.
    private func bucket(of nanoseconds: UInt64) -> Int {
        var low = 0
        var high = LatencyBuckets.count - 1
        while low < high {
            let middle = (low + high) / 2
            if bounds[middle] < nanoseconds { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// `nil` past the last slot that the directory has room for (262,144).
    private func block(for slot: Int) -> Cells? {
        if slot < 0 { return unrouted }
        let chunk = slot / Self.slotsPerChunk
        guard chunk < Self.chunkCount else { return nil }
        let slots = Self.followOrMake(directory + chunk, Self.slotsPerChunk)
        return Self.followOrMake(slots + slot % Self.slotsPerChunk, Self.cellsPerSlot)
    }

    private static func seriesIndex(_ part: Part, _ service: ServiceKind, _ code: Int) -> Int {
        firstSeries + (part.rawValue * ServiceKind.allCases.count + service.rawValue) * OutcomeCode.count + code
    }
}

// MARK: Reading

extension LoopMetrics {
    /// One series as a scrape finds it.
    struct Series {
        var slot: Int
        var part: Part
        var service: ServiceKind
        var codeIndex: Int
        var histogram: LatencyHistogram
    }

    /// One stage of the requests of a slot.
    struct Stage {
        var slot: Int
        var stage: RequestStage
        var histogram: LatencyHistogram
    }

    /// The counts of one slot's predictions and rows.
    struct Counts {
        var slot: Int
        var negative: Int
        var positive: Int
        var rows: Int
        var missingFeatures: Int
        var staleFeatures: Int
        var lastSecond: Int
    }

    /// Everything that this loop has counted. Called from any thread.
    func read() -> (series: [Series], counts: [Counts]) {
        var series: [Series] = []
        var counts: [Counts] = []
        read(unrouted, slot: -1, &series, &counts)
        for chunk in 0..<Self.chunkCount {
            guard let slots = Self.follow(directory + chunk) else { continue }
            for index in 0..<Self.slotsPerChunk {
                guard let block = Self.follow(slots + index) else { continue }
                read(block, slot: chunk * Self.slotsPerChunk + index, &series, &counts)
            }
        }
        return (series, counts)
    }

    private func read(_ block: Cells, slot: Int, _ series: inout [Series], _ counts: inout [Counts]) {
        func value(_ cell: Int) -> Int { block[cell].load(ordering: .relaxed) }
        counts.append(
            Counts(
                slot: slot, negative: value(0), positive: value(1), rows: value(2), missingFeatures: value(3),
                staleFeatures: value(4), lastSecond: value(5)))
        for part in Part.allCases {
            for service in ServiceKind.allCases {
                for code in 0..<OutcomeCode.count {
                    guard let cells = Self.follow(block + Self.seriesIndex(part, service, code)) else { continue }
                    series.append(
                        Series(
                            slot: slot, part: part, service: service, codeIndex: code,
                            histogram: Self.histogram(cells)))
                }
            }
        }
    }

    /// The stages of every slot's requests. Called from any thread.
    func readStages() -> [Stage] {
        var stages: [Stage] = []
        for chunk in 0..<Self.chunkCount {
            guard let slots = Self.follow(directory + chunk) else { continue }
            for index in 0..<Self.slotsPerChunk {
                guard let block = Self.follow(slots + index) else { continue }
                for stage in RequestStage.allCases {
                    guard let cells = Self.follow(block + Self.firstStage + stage.rawValue) else { continue }
                    stages.append(
                        Stage(
                            slot: chunk * Self.slotsPerChunk + index, stage: stage, histogram: Self.histogram(cells)))
                }
            }
        }
        return stages
    }

    private static func histogram(_ cells: Cells) -> LatencyHistogram {
        var histogram = LatencyHistogram()
        histogram.sumNanoseconds = cells[0].load(ordering: .relaxed)
        histogram.maximumNanoseconds = cells[1].load(ordering: .relaxed)
        for bucket in 0..<LatencyBuckets.count {
            histogram.counts[bucket] = cells[firstBucket + bucket].load(ordering: .relaxed)
        }
        return histogram
    }
}

// MARK: Cells

extension LoopMetrics {
    private static func makeCells(_ count: Int) -> Cells {
        let cells = Cells.allocate(capacity: count)
        for index in 0..<count { (cells + index).initialize(to: Atomic(0)) }
        return cells
    }

    /// The cells that a cell points to; acquires, so that what they held when published is seen.
    private static func follow(_ cell: Cells) -> Cells? {
        Cells(bitPattern: cell.pointee.load(ordering: .acquiring))
    }

    private static func followOrMake(_ cell: Cells, _ count: Int) -> Cells {
        if let cells = Cells(bitPattern: cell.pointee.load(ordering: .relaxed)) { return cells }
        let made = makeCells(count)
        cell.pointee.store(Int(bitPattern: made), ordering: .releasing)
        return made
    }

    /// One writer, so a load and a store are enough.
    private static func add(_ cell: Cells, _ amount: Int) {
        cell.pointee.store(cell.pointee.load(ordering: .relaxed) &+ amount, ordering: .relaxed)
    }

    private static func freeSlot(_ block: Cells) {
        for index in firstSeries..<cellsPerSlot { follow(block + index)?.deallocate() }
        block.deallocate()
    }
}
