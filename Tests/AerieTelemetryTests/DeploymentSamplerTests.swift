import AerieCore
import AerieTelemetry
import Testing

@Suite("Live rates")
struct DeploymentSamplerTests {
    private let clock = ManualClock()
    private let loop = LoopMetrics()
    private let sampler: DeploymentSampler

    init() {
        let registry = MetricsRegistry()
        registry.describeSlots { slot in
            [("a", "one"), ("a", "two"), ("b", "only")].indices.contains(slot)
                ? SlotLabels(
                    deployment: slot < 2 ? "a" : "b", predictor: ["one", "two", "only"][slot], modelName: "m",
                    modelVersion: "1") : nil
        }
        registry.register(loop)
        sampler = DeploymentSampler(registry: registry, clock: clock)
    }

    private func second(_ requests: [(slot: Int, code: Int, count: Int)]) {
        for request in requests {
            for _ in 0..<request.count {
                loop.record(slot: request.slot, service: .infer, code: request.code, nanoseconds: 90_000)
            }
        }
        clock.advance(milliseconds: 1000)
        sampler.sample()
    }

    @Test("the rate is that of the last ten seconds, the total that of all")
    func rates() throws {
        for _ in 0..<20 { second([(0, 200, 90), (1, 200, 8), (1, 500, 2)]) }
        let stats = try #require(sampler.stats(deployment: "a"))
        #expect(stats.current.requestsPerSecond == 100)
        #expect(abs(stats.current.errorRate - 0.02) < 1e-12)
        #expect(stats.current.total == 2000)
        #expect(stats.current.totalErrors == 40)
        #expect(stats.predictors["one"]?.requestsPerSecond == 90)
        #expect(stats.predictors["two"]?.errorRate == 0.2)
        let p50 = try #require(stats.current.p50)
        #expect(p50 > 75e-6 && p50 <= 100e-6)
        #expect(stats.history.count == 20)
        #expect(stats.history.allSatisfy { $0.requestsPerSecond == 100 && $0.errorsPerSecond == 2 })
        #expect(sampler.stats(deployment: "b") == nil)
    }

    @Test("after ten quiet seconds the rate is zero, and quantiles are not told")
    func quiet() throws {
        second([(2, 200, 50)])
        for _ in 0..<10 { second([]) }
        let stats = try #require(sampler.stats(deployment: "b"))
        #expect(stats.current.requestsPerSecond == 0)
        #expect(stats.current.p99 == nil)
        #expect(stats.current.total == 50)
        #expect(stats.history.first?.requestsPerSecond == 50)
    }

    @Test("history ends at five minutes")
    func historyIsBounded() throws {
        for _ in 0..<350 { second([(2, 200, 1)]) }
        let stats = try #require(sampler.stats(deployment: "b"))
        #expect(stats.history.count == DeploymentSampler.historyCount)
        #expect(stats.history.last?.time == clock.now())
        #expect(sampler.all().map(\.deployment) == ["b"])
    }

    @Test("two samples at one moment count as one")
    func sameMoment() throws {
        second([(2, 200, 10)])
        sampler.sample()
        #expect(try #require(sampler.stats(deployment: "b")).history.count == 1)
    }
}
