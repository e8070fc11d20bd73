import AerieTelemetry
import Testing

@Suite("Counting on a loop")
struct LoopMetricsTests {
    private func total(_ text: String, _ name: String) -> Int {
        text.split(separator: "\n").filter { $0.hasPrefix(name + "{") }
            .compactMap { $0.split(separator: " ").last.flatMap { Int($0) } }.reduce(0, +)
    }

    @Test("scrapes during the counting never see a number go back, and the last sees everything")
    func concurrentScrape() async {
        let registry = MetricsRegistry()
        registry.describeSlots { SlotLabels(deployment: "d\($0)", predictor: "p", modelName: "m", modelVersion: "1") }
        let loops = [LoopMetrics(), LoopMetrics()]
        loops.forEach(registry.register)
        let name = "seldon_api_executor_server_requests_seconds_count"
        await withTaskGroup(of: Void.self) { group in
            for loop in loops {
                group.addTask {
                    for index in 0..<60_000 {
                        loop.record(slot: index % 300, service: .infer, code: 200, nanoseconds: UInt64(index))
                    }
                }
            }
            group.addTask {
                var last = 0
                for _ in 0..<5 {
                    let seen = self.total(registry.exposition(), name)
                    #expect(seen >= last)
                    last = seen
                    await Task.yield()
                }
            }
        }
        #expect(total(registry.exposition(), name) == 120_000)
    }
}
