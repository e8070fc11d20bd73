import AerieCore
import Streaming
import Synchronization

/// One consumer at work for one view: reads messages, has them taken in, goes on.
///
/// What cannot be taken in is tried again until it can.
final class StreamConsumption: Sendable {
    /// Messages that are in memory at a time. Those that come faster than they are counted share steps, the more of
    /// them the cheaper each: an entity is written once a step.
    private static let limit = 40_000
    private static let backoff = Backoff(base: .milliseconds(100), cap: .seconds(10))

    private let intake: any StreamIntake
    private let positions: KnownPositions
    private let consumer: any EventConsumer
    private let failure = Mutex<String?>(nil)

    init(_ intake: any StreamIntake, positions: KnownPositions, consumer: any EventConsumer) {
        self.intake = intake
        self.positions = positions
        self.consumer = consumer
    }

    var state: (lag: Int64, problem: String?) {
        let (lag, problem) = consumer.state()
        return (lag, failure.withLock { $0 } ?? problem)
    }

    /// Until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            do throws(AerieError) {
                let messages = try await consumer.poll(limit: Self.limit)
                if messages.isEmpty { continue }
                await take(messages)
                consumer.acknowledge(positions.all)
            } catch {
                failure.withLock { $0 = error.message }
                try? await Task.sleep(for: .seconds(1))
            }
        }
        await consumer.close()
    }

    /// All partitions at once, so that they share a step.
    private func take(_ messages: [EventMessage]) async {
        await withTaskGroup(of: Void.self) { group in
            for (partition, messages) in Dictionary(grouping: messages, by: \.partition) {
                group.addTask { await self.take(messages, of: partition) }
            }
        }
    }

    private func take(_ messages: [EventMessage], of partition: String) async {
        var failures = 0
        while !Task.isCancelled {
            do throws(AerieError) {
                try await intake.take(messages)
                failure.withLock { $0 = nil }
                if let last = messages.last { positions.advance(partition, to: last.offset + 1) }
                return
            } catch {
                failure.withLock { $0 = error.message }
                failures += 1
                try? await Task.sleep(for: Self.backoff.pause(afterFailures: failures))
            }
        }
    }
}

/// How far the partitions of a stream have been counted, for consumers that are given one. Never ahead of the truth.
final class KnownPositions: Sendable {
    private let known: Mutex<[String: Int64]>
    init(_ positions: [String: Int64]) { known = Mutex(positions) }

    var all: [String: Int64] { known.withLock { $0 } }
    subscript(partition: String) -> Int64? { known.withLock { $0[partition] } }
    func advance(_ partition: String, to next: Int64) {
        known.withLock { $0[partition] = max(next, $0[partition] ?? 0) }
    }
}
