import AerieCore
import CRdkafka
import Dispatch
import Streaming
import Synchronization

/// One member of a consumer group.
///
/// `@unchecked Sendable`: the library's consumer may be used by any thread; it is polled and closed on the queue only,
/// and `isClosed` keeps others from it afterwards.
final class KafkaConsumer: EventConsumer, @unchecked Sendable {
    private struct State {
        var isClosed = false
        /// For each partition that this member has, where its next message is.
        var next: [Int32: Int64] = [:]
        var problem: String?
    }

    private let subscription: EventSubscription
    private let inner = Mutex(State())
    private let queue = DispatchQueue(label: "aerie.kafka")
    private var consumer: crdkafka?
    /// What partitions are called that had messages. For the queue only.
    private var names: [Int32: String] = [:]

    /// How long the group may take to let this member go.
    private static let leaveMilliseconds: Int32 = 2000

    /// Settings that make sense here; the subscription's options go before them.
    private static let settings = [
        "auto.offset.reset": "earliest", "session.timeout.ms": "10000", "heartbeat.interval.ms": "1000",
        "fetch.wait.max.ms": "50", "fetch.error.backoff.ms": "100", "reconnect.backoff.ms": "50",
        "reconnect.backoff.max.ms": "1000", "topic.metadata.refresh.interval.ms": "10000", "log_level": "0",
        "queued.max.messages.kbytes": "65536",
    ]

    init(_ subscription: EventSubscription) throws(AerieError) {
        self.subscription = subscription
        var settings = Self.settings.merging(subscription.options) { $1 }
        settings["bootstrap.servers"] = subscription.brokers
        settings["group.id"] = subscription.group
        settings["enable.auto.commit"] = "false"
        settings["enable.auto.offset.store"] = "false"
        let pairs = settings.sorted { $0.key < $1.key }
        var problem = [CChar](repeating: 0, count: 512)
        consumer = Self.withTexts(pairs.map(\.key)) { names in
            Self.withTexts(pairs.map(\.value)) { values in
                crdkafka_open(
                    names, values, Int32(pairs.count), subscription.topic,
                    { context, partition in
                        guard let context else { return -1 }
                        return Unmanaged<KafkaConsumer>.fromOpaque(context).takeUnretainedValue().assigned(partition)
                    },
                    { context, partition in
                        guard let context else { return }
                        Unmanaged<KafkaConsumer>.fromOpaque(context).takeUnretainedValue().revoked(partition)
                    },
                    { context, reason in
                        guard let context, let reason else { return }
                        let consumer = Unmanaged<KafkaConsumer>.fromOpaque(context).takeUnretainedValue()
                        consumer.failed(String(cString: reason))
                    }, Unmanaged.passUnretained(self).toOpaque(), &problem, problem.count)
            }
        }
        guard consumer != nil else {
            let words = problem.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
            throw .invalid("spec.stream", "Kafka's client does not take the settings: \(words)")
        }
    }

    private static func withTexts<Result>(
        _ texts: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>) -> Result
    ) -> Result {
        let copies = texts.map { text in
            let bytes = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.utf8.count + 1)
            _ = bytes.initialize(from: text.utf8.map { CChar(bitPattern: $0) } + [0])
            return bytes
        }
        defer { copies.forEach { $0.deallocate() } }
        let pointers = copies.map { UnsafePointer($0.baseAddress) }
        return pointers.withUnsafeBufferPointer { buffer in
            // An array that is not empty has an address.
            buffer.baseAddress.map(body) ?? withUnsafePointer(to: nil, body)
        }
    }

    private func name(_ partition: Int32) -> String { "\(subscription.topic)/\(partition)" }

    private func assigned(_ partition: Int32) -> Int64 {
        let position = subscription.position(name(partition))
        inner.withLock { $0.next[partition] = position ?? 0 }
        return position ?? -1
    }

    private func revoked(_ partition: Int32) { inner.withLock { $0.next[partition] = nil } }

    private func failed(_ reason: String) { inner.withLock { $0.problem = reason } }

    func poll(limit: Int) async throws(AerieError) -> [EventMessage] {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: self.take(limit)) }
        }
    }

    /// The first message is waited for, the others only taken if they are there.
    private func take(_ limit: Int) -> [EventMessage] {
        var messages: [EventMessage] = []
        var next: [Int32: Int64] = [:]
        guard let consumer, !inner.withLock({ $0.isClosed }) else { return [] }
        var one = crdkafka_message()
        while messages.count < limit, let handle = crdkafka_poll(consumer, messages.isEmpty ? 200 : 0, &one) {
            defer { crdkafka_release(handle) }
            let content = UnsafeRawBufferPointer(start: one.payload, count: one.payload == nil ? 0 : one.size)
            if one.error != 0 {
                let text = String(decoding: content, as: UTF8.self)
                inner.withLock { $0.problem = text }
                if messages.isEmpty { break }
                continue
            }
            let partition = names[one.partition] ?? name(one.partition)
            names[one.partition] = partition
            next[one.partition] = one.offset + 1
            messages.append(
                EventMessage(
                    partition: partition, offset: one.offset, arrival: one.timestamp < 0 ? nil : one.timestamp * 1000,
                    content: Array(content)))
        }
        if !messages.isEmpty {
            inner.withLock { state in
                state.problem = nil
                for (number, offset) in next where state.next[number] != nil { state.next[number] = offset }
            }
        }
        return messages
    }

    func acknowledge(_ positions: [String: Int64]) {
        inner.withLock { state in
            guard let consumer, !state.isClosed else { return }
            for partition in state.next.keys {
                if let next = positions[name(partition)] { crdkafka_commit(consumer, partition, next) }
            }
        }
    }

    func state() -> (lag: Int64, problem: String?) {
        inner.withLock { state in
            guard let consumer, !state.isClosed else { return (0, state.problem) }
            let lag = state.next.reduce(into: Int64(0)) { lag, entry in
                lag += max(0, crdkafka_end(consumer, entry.key) - entry.value)
            }
            return (lag, state.problem)
        }
    }

    func close() async {
        await withCheckedContinuation { continuation in
            queue.async {
                let isFirst = self.inner.withLock { state in
                    defer { state.isClosed = true }
                    return !state.isClosed
                }
                guard isFirst, let consumer = self.consumer else { return continuation.resume() }
                // Not under the lock: leaving the group takes partitions away, which is noted under it.
                let hasLeft = crdkafka_leave(consumer, Self.leaveMilliseconds) == 1
                if hasLeft { crdkafka_free(consumer) }
                continuation.resume()
                // Brokers that answer no more keep the library, and nobody else, waiting for some seconds.
                if !hasLeft { crdkafka_free(consumer) }
            }
        }
    }
}
