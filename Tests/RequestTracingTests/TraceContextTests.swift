import Testing
import RequestTracing

@Suite("W3C trace context")
struct TraceContextTests {
    @Test("a context is read and written back")
    func roundTrip() throws {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        let context = try #require(TraceContext(parent: text.utf8, state: "rojo=00f067aa0ba902b7,congo=t61".utf8))
        #expect(context.parent == text)
        #expect(context.traceID == "4bf92f3577b34da6a3ce929d0e0e4736")
        #expect(context.isSampled)
        #expect(context.state == "rojo=00f067aa0ba902b7,congo=t61")
        // A later version may tell more; what is known of it is taken.
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-more"
        #expect(TraceContext(parent: later.utf8, state: "".utf8)?.isSampled == false)
    }

    @Test("what is malformed begins a trace of its own", arguments: [
        "", "00", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
        "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
    ])
    func malformed(_ text: String) {
        #expect(TraceContext(parent: text.utf8, state: "".utf8) == nil)
    }

    @Test("a state that no header field can hold is left out")
    func state() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        #expect(TraceContext(parent: parent.utf8, state: "a=\r\nb".utf8)?.state == "")
        #expect(TraceContext(parent: parent.utf8, state: String(repeating: "a", count: 513).utf8)?.state == "")
    }
}

@Suite("Which traces are kept")
struct SamplingPolicyTests {
    @Test("the ratio takes its share of the identifiers, the same ones each time")
    func ratio() {
        var generator = Bits(state: 7)
        let identifiers = (0..<20_000).map { _ in generator.next() }
        for ratio in [0.0, 0.1, 0.5, 1.0] {
            let policy = SamplingPolicy(ratio: ratio)
            let taken = identifiers.filter { policy.samples(traceLow: $0) }
            #expect(abs(Double(taken.count) / 20_000 - ratio) < 0.015)
            // What a lower ratio takes, a higher one takes too: servers of several ratios keep whole traces.
            let more = SamplingPolicy(ratio: min(1, ratio + 0.2))
            #expect(taken.allSatisfy { more.samples(traceLow: $0) })
        }
    }

    @Test("slow and failed requests are kept whatever the ratio says")
    func tail() {
        let policy = SamplingPolicy(ratio: 0, slowNanoseconds: 5_000_000)
        let context = TraceContext(traceHigh: 1, traceLow: 1, spanID: 1, isSampled: false)
        #expect(policy.reason(context, nanoseconds: 4_999_999, failed: false) == nil)
        #expect(policy.reason(context, nanoseconds: 5_000_000, failed: false) == .slow)
        #expect(policy.reason(context, nanoseconds: 1, failed: true) == .failed)
        var asked = context
        asked.isSampled = true
        #expect(policy.reason(asked, nanoseconds: 1, failed: false) == .ratio)
        let never = SamplingPolicy(ratio: 0, slowNanoseconds: nil, keepsFailures: false)
        #expect(never.reason(context, nanoseconds: 1 << 40, failed: true) == nil)
    }

    private struct Bits {
        var state: UInt64
        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var bits = state
            bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
            bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
            return bits ^ (bits >> 31)
        }
    }
}
