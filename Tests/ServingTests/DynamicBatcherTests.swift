import AerieCore
import AerieData
import AerieJSON
import Testing

@testable import Serving

@Suite("Dynamic batching")
struct DynamicBatcherTests {
    /// A batcher with a clock that the test moves.
    private struct Bench {
        var batcher: DynamicBatcher
        var now: UInt64 = 1_000_000
        var next: UInt64 = 0

        init(_ size: Int = 8, _ change: (inout BatchingPolicy) -> Void = { _ in }) {
            var policy = BatchingPolicy(maximumBatchSize: size)
            change(&policy)
            batcher = DynamicBatcher(policy)
        }

        @discardableResult
        mutating func add(
            rows: Int = 1, columns: Int = 4, priority: Int = 0, timeout: UInt64 = 0
        ) throws -> UInt64 {
            defer { next += 1 }
            try batcher.add(
                .init(
                    ticket: next, rows: rows, shape: BatchShape(columns: columns), priority: priority,
                    timeout: timeout), now: now)
            return next
        }

        mutating func step() -> DynamicBatcher.Step { batcher.next(now: now) }
    }

    private func microseconds(_ count: UInt64) -> UInt64 { count * 1000 }

    @Test("without a delay a free model takes what is there at once, and later what came meanwhile")
    func noDelay() throws {
        var bench = Bench()
        try bench.add()
        let first = try #require(bench.step().batch)
        #expect(first.tickets == [0] && first.rows == 1)
        for _ in 0..<3 { try bench.add(rows: 2) }
        #expect(bench.step().batch == nil, "the only instance is at work")
        #expect(bench.batcher.finish(first.number) == [first.number])
        let second = try #require(bench.step().batch)
        #expect(second.tickets == [1, 2, 3] && second.rows == 6)
        #expect(bench.step().batch == nil && bench.batcher.count == 0)
    }

    @Test("the size is counted in rows, and a request that does not fit waits for the next call")
    func rows() throws {
        var bench = Bench { $0.maximumQueueDelay = 1_000_000 }
        try bench.add(rows: 5)
        try bench.add(rows: 4)
        // The second cannot join, so nothing is gained by waiting for the delay.
        let batch = try #require(bench.step().batch)
        #expect(batch.tickets == [0] && batch.rows == 5)
        #expect(throws: AerieError.self) { try bench.add(rows: 9) }
        _ = bench.batcher.finish(batch.number)
        try bench.add(rows: 4)
        #expect(bench.step().batch?.rows == 8)
    }

    @Test("the oldest request waits at most the queue delay for others")
    func delay() throws {
        var bench = Bench { $0.maximumQueueDelay = microseconds(500) }
        try bench.add()
        #expect(bench.step() == .init(wakeAt: 1_000_000 + 500_000))
        bench.now += microseconds(499)
        try bench.add()
        #expect(bench.step() == .init(wakeAt: 1_000_000 + 500_000))
        bench.now += microseconds(1)
        #expect(bench.step().batch?.tickets == [0, 1])
    }

    @Test("a full batch does not wait")
    func full() throws {
        var bench = Bench(4) { $0.maximumQueueDelay = microseconds(10_000) }
        for _ in 0..<3 { try bench.add() }
        #expect(bench.step().batch == nil)
        try bench.add()
        #expect(bench.step().batch?.rows == 4)
    }

    @Test("the largest preferred size that can be formed goes; the rest waits its turn")
    func preferred() throws {
        var bench = Bench(16) {
            $0.preferredBatchSizes = [4, 8]
            $0.maximumQueueDelay = microseconds(100)
            $0.instances = 2
        }
        for _ in 0..<3 { try bench.add() }
        #expect(bench.step().batch == nil)
        for _ in 0..<6 { try bench.add() }
        #expect(bench.step().batch?.tickets == Array(0...7))
        #expect(bench.step().batch == nil, "one of nine is left, and may wait")
        bench.now += microseconds(100)
        #expect(bench.step().batch?.tickets == [8])
    }

    @Test("different shapes do not share a call, and keep their order")
    func shapes() throws {
        var bench = Bench { $0.maximumQueueDelay = microseconds(100) }
        try bench.add(columns: 4)
        try bench.add(columns: 5)
        try bench.add(columns: 4)
        let first = try #require(bench.step().batch)
        #expect(first.tickets == [0])
        _ = bench.batcher.finish(first.number)
        let second = try #require(bench.step().batch)
        #expect(second.tickets == [1])
        _ = bench.batcher.finish(second.number)
        #expect(bench.step().batch == nil)
        bench.now += microseconds(100)
        #expect(bench.step().batch?.tickets == [2])
    }

    @Test("urgent levels go first; the default level is the middle one if nothing else is said")
    func priorities() throws {
        let policy = try ServingPolicy(
            modelConfig: ["max_batch_size": 2, "dynamic_batching": ["priority_levels": 3, "default_priority_level": 2]])
        var batcher = DynamicBatcher(try #require(policy.batching))
        for (ticket, priority) in [(0, 3), (1, 0), (2, 1), (3, 2)] {
            try batcher.add(
                .init(ticket: UInt64(ticket), rows: 1, shape: BatchShape(columns: 1), priority: priority), now: 0)
        }
        let first = try #require(batcher.next(now: 0).batch)
        #expect(first.tickets == [2, 1])
        _ = batcher.finish(first.number)
        #expect(batcher.next(now: 0).batch?.tickets == [3, 0])
        #expect(throws: AerieError.self) {
            try batcher.add(.init(ticket: 9, rows: 1, shape: BatchShape(columns: 1), priority: 4), now: 0)
        }
    }

    @Test("a request whose time is up is refused, or goes behind those that are in time")
    func timeouts() throws {
        for action in [BatchingPolicy.Queue.TimeoutAction.reject, .delay] {
            var bench = Bench(2) {
                $0.defaultQueue.timeout = microseconds(100)
                $0.defaultQueue.timeoutAction = action
            }
            try bench.add()
            let running = try #require(bench.step().batch)
            try bench.add()
            #expect(bench.step().wakeAt == bench.now + microseconds(100))
            bench.now += microseconds(60)
            try bench.add()
            try bench.add()
            bench.now += microseconds(40)
            let step = bench.step()
            #expect(step.expired == (action == .reject ? [1] : []) && step.batch == nil)
            _ = bench.batcher.finish(running.number)
            let next = try #require(bench.step().batch)
            #expect(next.tickets == [2, 3])
            _ = bench.batcher.finish(next.number)
            #expect(bench.step().batch?.tickets == (action == .reject ? nil : [1]))
        }
    }

    @Test("a request may shorten its time where that is allowed, and never lengthen it")
    func overrides() throws {
        for allows in [true, false] {
            var bench = Bench(1) {
                $0.defaultQueue.timeout = microseconds(100)
                $0.defaultQueue.allowsTimeoutOverride = allows
            }
            try bench.add()
            _ = bench.step()
            try bench.add(timeout: microseconds(10))
            try bench.add(timeout: microseconds(1000))
            bench.now += microseconds(10)
            #expect(bench.step().expired == (allows ? [1] : []))
            bench.now += microseconds(90)
            #expect(bench.step().expired == (allows ? [2] : [1, 2]))
        }
    }

    @Test("a full queue refuses, each level by its own limit")
    func fullQueue() throws {
        var bench = Bench(1) {
            $0.priorityLevels = 2
            $0.defaultPriorityLevel = 2
            $0.defaultQueue.maximumSize = 2
            $0.queues[1] = BatchingPolicy.Queue()
        }
        try bench.add()
        _ = bench.step()
        try bench.add()
        try bench.add()
        do {
            try bench.add()
            Issue.record("the queue took a third request")
        } catch let error as AerieError {
            #expect(error.code == .unavailable)
        }
        for _ in 0..<10 { try bench.add(priority: 1) }
    }

    @Test("answers keep the order of the calls where that is asked for")
    func ordering() throws {
        for preserves in [true, false] {
            var bench = Bench(1) {
                $0.instances = 3
                $0.preservesOrdering = preserves
            }
            for _ in 0..<3 { try bench.add() }
            let numbers = try (0..<3).map { _ in try #require(bench.step().batch).number }
            #expect(bench.step().batch == nil)
            #expect(bench.batcher.finish(numbers[1]) == (preserves ? [] : [numbers[1]]))
            #expect(bench.batcher.finish(numbers[2]) == (preserves ? [] : [numbers[2]]))
            #expect(bench.batcher.finish(numbers[0]) == (preserves ? numbers : [numbers[0]]))
        }
    }

    @Test("a request that nobody waits for is forgotten")
    func cancelling() throws {
        var bench = Bench()
        try bench.add()
        try bench.add()
        let forgotten = [bench.batcher.cancel(0), bench.batcher.cancel(0)]
        #expect(forgotten == [true, false])
        #expect(bench.step().batch?.tickets == [1])
        let running = bench.batcher.cancel(1)
        #expect(!running)
    }

    @Test("whatever comes and ends, every request runs or is refused exactly once, and no call is too large")
    func everyRequestOnce() throws {
        var random = UInt64(7)
        func pick(_ count: UInt64) -> UInt64 {
            random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return (random >> 33) % count
        }
        for round in 0..<40 {
            var bench = Bench(8) {
                $0.maximumQueueDelay = microseconds(UInt64(round % 3) * 50)
                $0.preferredBatchSizes = round % 2 == 0 ? [] : [3, 6]
                $0.preservesOrdering = round % 4 == 0
                $0.instances = 1 + round % 3
                $0.priorityLevels = 1 + round % 2
                $0.defaultQueue.timeout = round % 5 == 0 ? microseconds(200) : 0
                $0.defaultQueue.timeoutAction = round % 10 == 0 ? .delay : .reject
            }
            var seen: [UInt64: Int] = [:]
            var running: [UInt64] = []
            var rows: [UInt64: Int] = [:]
            func take() {
                while true {
                    let step = bench.step()
                    for ticket in step.expired { seen[ticket, default: 0] += 1 }
                    guard let batch = step.batch else { return }
                    #expect(batch.rows == batch.tickets.reduce(0) { $0 + (rows[$1] ?? 0) } && batch.rows <= 8)
                    for ticket in batch.tickets { seen[ticket, default: 0] += 1 }
                    running.append(batch.number)
                }
            }
            for _ in 0..<300 {
                switch pick(4) {
                case 0 where !running.isEmpty:
                    _ = bench.batcher.finish(running.remove(at: Int(pick(UInt64(running.count)))))
                case 1: bench.now += microseconds(pick(80))
                default:
                    let count = Int(1 + pick(4))
                    let levels = UInt64(bench.batcher.policy.priorityLevels)
                    let ticket = try bench.add(
                        rows: count, columns: Int(1 + pick(2)), priority: Int(1 + pick(levels)))
                    rows[ticket] = count
                }
                take()
            }
            while !running.isEmpty || bench.batcher.count > 0 {
                if !running.isEmpty { _ = bench.batcher.finish(running.removeFirst()) }
                bench.now += microseconds(100)
                take()
            }
            #expect(seen.count == Int(bench.next) && seen.values.allSatisfy { $0 == 1 }, "round \(round)")
        }
    }
}

@Suite("Rows of several requests")
struct TensorRowsTests {
    private func texts(_ name: String, _ texts: [String]) -> Tensor {
        var bytes: [UInt8] = []
        for text in texts {
            withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes += $0 }
            bytes += Array(text.utf8)
        }
        return Tensor(name: name, dataType: .bytes, shape: [texts.count], bytes: bytes)
    }

    @Test("are put behind one another by their inputs' names, and taken apart again")
    func joining() throws {
        let first = [
            Tensor(name: "a", dataType: .fp32, shape: [2, 2], elements: [Float(1), 2, 3, 4]), texts("b", ["x", "long text"]),
        ]
        let second = [texts("b", [""]), Tensor(name: "a", dataType: .fp32, shape: [1, 2], elements: [Float(5), 6])]
        #expect(BatchShape(first) != nil && BatchShape(first) == BatchShape(second))
        let joined = TensorRows.join([first, second])
        #expect(joined.map(\.name) == ["a", "b"])
        #expect(joined[0].shape == [3, 2] && joined[0].elements(as: Float.self) == [1, 2, 3, 4, 5, 6])
        #expect(joined[1] == texts("b", ["x", "long text", ""]))
        let parts = try TensorRows.split(joined, rows: [2, 1])
        #expect(parts == [first, second.reversed()])
        #expect(throws: AerieError.self) { try TensorRows.split(joined, rows: [2, 2]) }
    }

    @Test("shapes differ by names, types and later dimensions, and rows must agree")
    func shapes() {
        func tensor(_ name: String, _ type: DataType, _ shape: [Int]) -> Tensor {
            Tensor(name: name, dataType: type, shape: shape, bytes: [])
        }
        let shape = BatchShape([tensor("a", .fp32, [1, 4])])
        #expect(shape == BatchShape([tensor("a", .fp32, [9, 4])]))
        #expect(shape != BatchShape([tensor("a", .fp32, [1, 5])]))
        #expect(shape != BatchShape([tensor("b", .fp32, [1, 4])]))
        #expect(shape != BatchShape([tensor("a", .fp64, [1, 4])]))
        #expect(BatchShape([tensor("a", .fp32, [1, 4]), tensor("b", .fp32, [2, 4])]) == nil)
        #expect(BatchShape([tensor("a", .fp32, [])]) == nil && BatchShape([tensor("a", .fp32, [0])]) == nil)
    }
}
