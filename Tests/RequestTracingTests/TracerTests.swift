import AerieCore
import AerieTelemetry
import Logging
import Synchronization
import Testing
import RequestTracing

@Suite("Traces on their way out")
struct TracerTests {
    /// Keeps what it is given, after as many refusals as it was told.
    private final class Collector: SpanExporter {
        let taken = Mutex<[[Span]]>([])
        let refusals: Mutex<[AerieError]>
        let isClosed = Mutex(false)

        init(refusals: [AerieError] = []) { self.refusals = Mutex(refusals) }

        func export(_ spans: [Span]) async throws(AerieError) {
            let refusal = refusals.withLock { $0.isEmpty ? nil : $0.removeFirst() }
            if let refusal { throw refusal }
            taken.withLock { $0.append(spans) }
        }

        func close() async { isClosed.withLock { $0 = true } }
    }

    private let metrics = MetricsRegistry()

    private func tracer(_ collector: Collector?, _ change: (inout Tracer.Options) -> Void = { _ in }) -> Tracer {
        var options = Tracer.Options()
        options.backoff.base = .zero
        change(&options)
        return Tracer(exporter: collector, options: options, metrics: metrics, logger: Logger(label: "test"))
    }

    private func trace(_ number: UInt64, spans: Int = 2, deployment: String = "fraud") -> RequestTrace {
        RequestTrace(
            spans: (0..<spans).map {
                Span(
                    traceHigh: 0, traceLow: number, spanID: UInt64($0 + 1), parentID: UInt64($0), name: "s",
                    kind: .internal, start: 1, end: 2)
            }, deployment: deployment, reason: .slow)
    }

    private func line(_ text: String) -> String? {
        metrics.exposition().split(separator: "\n").first { $0.hasPrefix(text) }.map(String.init)
    }

    @Test("traces leave whole, in messages of the batch's size")
    func batches() async {
        let collector = Collector()
        let tracer = tracer(collector) { $0.batchSize = 5 }
        for number in 1...4 { tracer.accept(trace(UInt64(number))) }
        await tracer.flush()
        #expect(collector.taken.withLock { $0.map(\.count) } == [4, 4])
        #expect(line("aerie_trace_spans_exported_total") == "aerie_trace_spans_exported_total 8")
        #expect(line("aerie_traces_kept_total{reason=\"slow\"}")?.hasSuffix(" 4") == true)
    }

    @Test("what finds no room is dropped and counted, and nobody waits")
    func full() async {
        let collector = Collector()
        let tracer = tracer(collector) { $0.capacity = 5 }
        for number in 1...4 { tracer.accept(trace(UInt64(number))) }
        #expect(line("aerie_trace_spans_dropped_total{reason=\"queue_full\"}")?.hasSuffix(" 4") == true)
        await tracer.flush()
        #expect(collector.taken.withLock { $0.joined().map(\.traceLow) } == [1, 1, 2, 2])
    }

    @Test("a collector that is away for a moment gets the message again; one that refuses it does not")
    func retries() async {
        let away = AerieError(.unavailable, "503")
        let patient = Collector(refusals: [away, away])
        let first = tracer(patient)
        first.accept(trace(1))
        await first.flush()
        #expect(patient.taken.withLock { $0.count } == 1)

        let strict = Collector(refusals: [AerieError(.failedPrecondition, "400")])
        let second = tracer(strict)
        second.accept(trace(2))
        await second.flush()
        #expect(strict.taken.withLock { $0.isEmpty })
        #expect(line("aerie_trace_spans_dropped_total{reason=\"export_failed\"}")?.hasSuffix(" 2") == true)
    }

    @Test("the end sends what is left, and closes the connection")
    func ending() async {
        let collector = Collector()
        let tracer = tracer(collector)
        tracer.accept(trace(1))
        let task = Task { await tracer.run() }
        task.cancel()
        await task.value
        #expect(collector.taken.withLock { $0.count } == 1)
        #expect(collector.isClosed.withLock { $0 })
    }

    /// Takes a message when it is told to, unless whoever sends it has been cancelled meanwhile.
    private final class SlowCollector: SpanExporter {
        let taken = Mutex(0)
        let begun = AsyncStream<Void>.makeStream()
        let answer = AsyncStream<Void>.makeStream()

        func export(_ spans: [Span]) async throws(AerieError) {
            begun.continuation.yield()
            for await _ in answer.stream { break }
            if Task.isCancelled { throw AerieError(.unavailable, "cancelled") }
            taken.withLock { $0 += 1 }
        }

        func close() async {}
    }

    @Test("a message that is under way when the end comes is not lost")
    func endingInTheMiddle() async {
        let collector = SlowCollector()
        let tracer = Tracer(exporter: collector, metrics: metrics, logger: Logger(label: "test"))
        tracer.accept(trace(1))
        let task = Task { await tracer.run() }
        for await _ in collector.begun.stream { break }
        task.cancel()
        collector.answer.continuation.yield()
        await task.value
        #expect(collector.taken.withLock { $0 } == 1)
        #expect(line("aerie_trace_spans_exported_total") == "aerie_trace_spans_exported_total 2")
    }

    @Test("a collector that is away when the end comes holds it up for two messages at most, and the rest is counted")
    func endingWithoutCollector() async {
        let collector = Collector(refusals: Array(repeating: AerieError(.unavailable, "503"), count: 20))
        let tracer = tracer(collector) { $0.batchSize = 2 }
        for number in 1...10 { tracer.accept(trace(UInt64(number))) }
        let task = Task {
            while !Task.isCancelled { await Task.yield() }
            await tracer.run()
        }
        task.cancel()
        await task.value
        #expect(collector.refusals.withLock { $0.count } >= 18)
        #expect(collector.taken.withLock { $0.isEmpty })
        #expect(line("aerie_trace_spans_dropped_total{reason=\"export_failed\"}")?.hasSuffix(" 20") == true)
    }

    @Test("the newest traces of a deployment can be looked at")
    func recent() {
        let tracer = tracer(nil) { $0.recentCount = 3 }
        for number in 1...5 { tracer.accept(trace(UInt64(number), deployment: number == 4 ? "other" : "fraud")) }
        #expect(tracer.recent(deployment: "fraud").compactMap(\.spans.first?.traceLow) == [5, 3])
    }
}
