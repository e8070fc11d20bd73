import AerieCore
import AerieData
import AerieTelemetry
import Logging
import RequestTracing
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

@Suite("Stages and traces of requests")
struct RequestFlowTests {
    /// Slow by its own word, so that it runs on the pool; fails for a negative number.
    private final class MoodyModel: Serving.InferenceModel {
        let description = ModelDescription(
            platform: "onnxruntime_onnx", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 1])],
            outputs: [TensorSpec(name: "y", dataType: .fp32, shape: [-1, 1])], nanosecondsPerRow: 1_000_000)

        func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
            guard inputs[0].elements(as: Float.self).allSatisfy({ $0 >= 0 }) else {
                throw AerieError(.internal, "the model does not like it")
            }
            return [Tensor(name: "y", dataType: .fp32, shape: inputs[0].shape, bytes: inputs[0].bytes)]
        }
    }

    private func body(_ value: Int) -> String {
        #"{"inputs":[{"name":"x","shape":[1,1],"datatype":"FP32","data":[\#(value)]}]}"#
    }

    private func tracer(_ policy: SamplingPolicy) -> Tracer {
        var options = Tracer.Options()
        options.policy = policy
        return Tracer(exporter: nil, options: options, metrics: MetricsRegistry(), logger: Logger(label: "test"))
    }

    @Test("a request that fails is kept with its reason, whatever the ratio")
    func failures() async throws {
        let tracer = tracer(SamplingPolicy(ratio: 0, slowNanoseconds: nil))
        try await withPlane([deployment("moody", MoodyModel())], options: { $0.tracer = tracer }) { port, _, _ in
            // The caller's mistake is no failure of the server's.
            for (body, status) in [(body(1), 200), (body(-1), 500), ("{}", 400)] {
                let answer = try await ask(port, post("/v2/models/moody/infer", body))
                #expect(answer.status == status)
            }
        }
        let traces = tracer.recent(deployment: "moody")
        #expect(traces.map(\.reason) == [.failed])
        #expect(traces.first?.spans.first?.failure == "the model does not like it")
    }

    @Test("a slow request is kept, with its wait for the pool")
    func slow() async throws {
        let tracer = tracer(SamplingPolicy(ratio: 0, slowNanoseconds: 0))
        try await withPlane([deployment("moody", MoodyModel())], options: { $0.tracer = tracer }) { port, _, _ in
            let answer = try await ask(port, post("/v2/models/moody/infer", body(1)))
            #expect(answer.status == 200)
        }
        let trace = try #require(tracer.recent(deployment: "moody").first)
        #expect(trace.reason == .slow)
        #expect(trace.spans.map(\.name) == [
            "POST /v2/models/{model}/infer", "Seldon Router", "Model Server", "Preprocessing", "Queue",
            "Model inference", "Postprocessing", "Response",
        ])
        // Each stage begins where the one before ended, and all of them make up the whole.
        let root = trace.spans[0]
        let stages = trace.spans.filter { $0.name != root.name && $0.name != "Model Server" }
        #expect(zip(stages, stages.dropFirst()).allSatisfy { $0.end == $1.start })
        #expect(stages.first?.start == root.start && stages.last?.end == root.end)
        #expect(stages.reduce(0) { $0 + $1.nanoseconds } == root.nanoseconds)
    }

    @Test("without a tracer stages are counted, and answers tell of no trace")
    func untraced() async throws {
        let registry = MetricsRegistry()
        registry.describeSlots { _ in
            SlotLabels(deployment: "fraud", predictor: "default", modelName: "classifier", modelVersion: "3")
        }
        try await withPlane([deployment("fraud", SumModel())]) { port, _, plane in
            plane.metrics.forEach(registry.register)
            let request = post("/v2/models/fraud/infer", inferBody())
            for _ in 0..<3 {
                let answer = try await exchange(port, request)
                #expect(answer.hasPrefix("HTTP/1.1 200") && !answer.contains("traceparent"))
            }
            // One that is refused is in no stage.
            #expect(try await ask(port, post("/v2/models/fraud/infer", "{}")).status == 400)
        }
        let stages = registry.stages(deployment: "fraud")
        #expect(stages.count == 3)
        for stage in RequestStage.allCases {
            let expected = stage == .featureFetch || stage == .queue ? 0 : 3
            #expect(stages[stage].count == expected)
        }
        #expect(registry.exposition().contains(#"aerie_inference_stage_seconds_count{deployment_name="fraud","#))
    }
}
