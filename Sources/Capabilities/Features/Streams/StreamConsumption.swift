import AerieCore
import AerieJSON
import Streaming
import Synchronization

/// One consumer at work for one view: reads messages, makes events of them, has them counted, goes on.
///
/// What is no event is set aside and does not hold up the rest. What cannot be committed is tried again until it can.
final class StreamConsumption: Sendable {
    /// Messages that are in memory at a time.
    private static let limit = 10_000

    private let view: FeatureCatalog.View
    private let reader: StreamEventReader
    private let processor: StreamProcessor
    private let positions: KnownPositions
    private let clock: any WallClock
    private let consumer: any EventConsumer
    private let failure = Mutex<String?>(nil)

    init(
        _ view: FeatureCatalog.View, _ windows: WindowDefinition, processor: StreamProcessor, positions: KnownPositions,
        consumer: any EventConsumer, clock: any WallClock
    ) {
        self.view = view
        reader = StreamEventReader(view, windows)
        self.processor = processor
        self.positions = positions
        self.consumer = consumer
        self.clock = clock
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
                await ingest(batches(messages))
                consumer.acknowledge(positions.all)
            } catch {
                failure.withLock { $0 = error.message }
                try? await Task.sleep(for: .seconds(1))
            }
        }
        await consumer.close()
    }

    /// All partitions at once, so that they share a step.
    private func ingest(_ batches: [StreamBatch]) async {
        await withTaskGroup(of: Void.self) { group in
            for batch in batches {
                group.addTask { await self.ingest(batch) }
            }
        }
    }

    private func ingest(_ batch: StreamBatch) async {
        var pause = Duration.milliseconds(100)
        while !Task.isCancelled {
            do throws(AerieError) {
                _ = try await processor.ingest(batch)
                failure.withLock { $0 = nil }
                if let source = batch.source { positions.advance(source.partition, to: source.next) }
                return
            } catch {
                failure.withLock { $0 = error.message }
                try? await Task.sleep(for: pause)
                pause = min(pause * 2, .seconds(10))
            }
        }
    }

    private func batches(_ messages: [EventMessage]) -> [StreamBatch] {
        let now = clock.now().milliseconds * 1000
        var batches: [StreamBatch] = []
        for message in messages {
            var place = batches.firstIndex { $0.source?.partition == message.partition } ?? batches.count
            if place == batches.count {
                batches.append(
                    StreamBatch(
                        events: [],
                        source: .init(partition: message.partition, offsets: [], next: message.offset)))
                place = batches.count - 1
            }
            batches[place].source?.next = message.offset + 1
            do throws(AerieError) {
                batches[place].events.append(try event(message, now))
                batches[place].source?.offsets.append(message.offset)
            } catch {
                batches[place].deadLetters.append(
                    DeadLetter(
                        time: now, reason: error.message, origin: "\(message.partition)@\(message.offset)",
                        content: message.content))
            }
        }
        return batches
    }

    private func event(_ message: EventMessage, _ now: Int64) throws(AerieError) -> StreamEvent {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(message.content, allowsNonFinite: true) } catch {
            throw error.asAerieError(in: "the message")
        }
        guard let object = value.object else { throw .invalid("", "the message is no JSON object") }
        return try reader.event(arrival: message.arrival ?? now, { object[$0] }, place: { $0 })
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
