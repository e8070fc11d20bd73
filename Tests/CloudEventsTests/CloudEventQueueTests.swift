import AerieCore
import AerieTelemetry
import CloudEvents
import Logging
import Synchronization
import Testing

@Suite("Events on their way to their receivers")
struct CloudEventQueueTests {
    /// Keeps what it is given, or refuses it: one entry of `refusals` an attempt, `nil` to take it.
    private final class Receiver: CloudEventSender {
        let taken = Mutex<[(id: String, url: String)]>([])
        let refusals: Mutex<[AerieError?]>
        let isClosed = Mutex(false)

        init(refusals: [AerieError?] = []) { self.refusals = Mutex(refusals) }

        func send(_ event: CloudEvent, to url: String) async throws(AerieError) {
            if Task.isCancelled { throw AerieError(.unavailable, "cancelled") }
            let refusal = refusals.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if let refusal { throw refusal }
            taken.withLock { $0.append((event.id, url)) }
        }

        func close() async { isClosed.withLock { $0 = true } }
    }

    private let metrics = MetricsRegistry()

    private func queue(
        _ receiver: Receiver, _ change: (inout CloudEventQueue.Options) -> Void = { _ in }
    ) -> CloudEventQueue {
        var options = CloudEventQueue.Options()
        options.backoff.base = .zero
        options.workers = 1
        change(&options)
        return CloudEventQueue(sender: receiver, options: options, metrics: metrics, logger: Logger(label: "test"))
    }

    private func event(_ id: Int, bytes: Int = 10) -> CloudEvent {
        CloudEvent(
            id: "\(id)", source: "/seldon/default/fraud", type: "io.seldon.serving.inference.request",
            time: Timestamp(milliseconds: 1_700_000_000_000), extensions: [.init("requestid", "größe \"1\" 100%")],
            contentType: "application/json", data: Array(repeating: 1, count: bytes))
    }

    private func count(_ name: String) -> String? {
        metrics.exposition().split(separator: "\n").first { $0.hasPrefix(name) }
            .flatMap { $0.split(separator: " ").last.map(String.init) }
    }

    @Test("events leave in their order, each to its receiver")
    func order() async {
        let receiver = Receiver()
        let queue = queue(receiver)
        for id in 0..<3000 { queue.accept(event(id), for: id % 2 == 0 ? "http://even" : "http://odd") }
        await queue.flush()
        #expect(receiver.taken.withLock { $0.map(\.id) } == (0..<3000).map(String.init))
        #expect(receiver.taken.withLock { $0.allSatisfy { $0.url == (Int($0.id)! % 2 == 0 ? "http://even" : "http://odd") } })
        #expect(count("aerie_request_log_sent_total") == "3000")
    }

    @Test("what finds no room, by number or by bytes, is dropped and counted")
    func full() async {
        let receiver = Receiver()
        let queue = queue(receiver) { ($0.capacity, $0.bytes) = (3, 25) }
        for id in 1...3 { queue.accept(event(id), for: "http://a") }
        queue.accept(event(4, bytes: 5), for: "http://a")
        queue.accept(event(5, bytes: 0), for: "http://a")
        await queue.flush()
        // The third has no room by its bytes, the fifth by its number.
        #expect(receiver.taken.withLock { $0.map(\.id) } == ["1", "2", "4"])
        #expect(count("aerie_request_log_dropped_total{reason=\"queue_full\"}") == "2")
    }

    @Test("a receiver that is away for a moment gets the event again; one that refuses it does not")
    func retries() async {
        let away = AerieError(.unavailable, "503")
        let receiver = Receiver(refusals: [away, away, nil, AerieError(.failedPrecondition, "400"), away, away, away])
        let queue = queue(receiver)
        for id in 1...4 { queue.accept(event(id), for: "http://a") }
        await queue.flush()
        #expect(receiver.taken.withLock { $0.map(\.id) } == ["1", "4"])
        #expect(count("aerie_request_log_dropped_total{reason=\"send_failed\"}") == "2")
    }

    @Test("the end sends what is left, and closes the connections")
    func ending() async {
        let receiver = Receiver()
        let queue = queue(receiver)
        queue.accept(event(1), for: "http://a")
        let task = Task { await queue.run() }
        task.cancel()
        await task.value
        #expect(receiver.taken.withLock { $0.count } == 1)
        #expect(receiver.isClosed.withLock { $0 })
    }

    @Test("a receiver that is away when the end comes holds it up for two events at most, and the rest is counted")
    func endingWithoutReceiver() async {
        let receiver = Receiver(refusals: Array(repeating: AerieError(.unavailable, "503"), count: 20))
        let queue = queue(receiver)
        for id in 0..<10 { queue.accept(event(id), for: "http://a") }
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            await queue.run()
        }
        task.cancel()
        await task.value
        #expect(receiver.refusals.withLock { $0.count } >= 18)
        #expect(receiver.taken.withLock { $0.isEmpty })
        #expect(count("aerie_request_log_dropped_total{reason=\"send_failed\"}") == "10")
    }

    @Test("attributes are header fields, escaped where a header cannot hold them")
    func fields() {
        let fields = event(7).fields.map { "\($0.name): \($0.value)" }
        #expect(fields == [
            "ce-specversion: 1.0", "ce-id: 7", "ce-source: /seldon/default/fraud",
            "ce-type: io.seldon.serving.inference.request", "ce-time: 2023-11-14T22:13:20.000Z",
            "ce-requestid: gr%C3%B6%C3%9Fe%20%221%22%20100%25",
        ])
    }
}
