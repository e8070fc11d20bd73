import AerieData
import AerieTelemetry
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

@Suite("Shadows on the plane", .timeLimit(.minutes(1)))
struct ShadowTests {
    private func predictor(_ name: String, _ model: GatedModel) -> ServedPredictor {
        ServedPredictor(
            name: name, weight: name == "shadow" ? 0 : 100, modelName: name, modelVersion: "1", modelURI: "",
            model: model, metricsSlot: 0)
    }

    @Test("one that hangs costs nobody anything: a few copies wait for it, the others are dropped and counted")
    func hangs() async throws {
        let shadow = GatedModel()
        let registry = MetricsRegistry()
        let shadows = ShadowQueue(registry: registry, capacity: 4)
        let served = ServedDeployment(
            name: "m", namespace: "default", predictors: [predictor("primary", GatedModel(isOpen: true))],
            shadows: [predictor("shadow", shadow)])
        try await withPlane([served], options: { $0.shadows = shadows }) { port, _, _ in
            for number in 0..<10 {
                let body = #"{"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[\#(number),1]}]}"#
                let answer = try await ask(port, post("/v2/models/m/infer", body))
                #expect(answer.status == 200 && answer.text.contains(#""data":[\#(Float(number + 1))]"#), "\(answer.text)")
            }
            // Every answer has come, and the shadow is still at the first copy.
            #expect(shadow.calls.withLock { $0.count } <= 1)
            #expect(shadows.depth == 4)
            shadow.open()
            while shadows.depth > 0 { try? await Task.sleep(for: .milliseconds(1)) }
        }
        #expect(shadow.calls.withLock { $0 } == [1, 1, 1, 1])
        let counts = registry.exposition().split(separator: "\n").filter { $0.hasPrefix("aerie_shadow_requests_total") }
        #expect(counts.contains { $0.contains(#"outcome="compared""#) && $0.hasSuffix(" 4") }, "\(counts)")
        #expect(counts.contains { $0.contains(#"outcome="dropped""#) && $0.hasSuffix(" 6") }, "\(counts)")
    }
}
