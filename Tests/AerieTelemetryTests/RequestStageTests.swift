import AerieTelemetry
import Testing

@Suite("Stages of a request")
struct RequestStageTests {
    @Test("the shares make up the 5 ms")
    func budget() {
        let inside = RequestStage.allCases.reduce(UInt64(0)) { $0 + ($1.budgetNanoseconds ?? 0) }
        #expect(inside == RequestStage.totalBudgetNanoseconds)
        #expect(inside + RequestStage.outsideNanoseconds == 5_000_000)
    }

    @Test("features are read between two halves of preprocessing, which count as one")
    func features() {
        let loop = LoopMetrics()
        let registry = MetricsRegistry()
        registry.describeSlots { _ in SlotLabels(deployment: "a", predictor: "p", modelName: "m", modelVersion: "1") }
        registry.register(loop)
        var timeline = RequestTimeline(start: 1, isMeasured: true)
        timeline.markRouted()
        let routed = timeline.routed
        timeline.fetchStart = routed + 100
        timeline.fetchEnd = routed + 300
        timeline.setInference(queued: routed + 400, routed + 900, routed + 1_500)
        #expect(timeline.duration(.featureFetch) == 200)
        #expect(timeline.duration(.preprocess) == 100)
        #expect(timeline.duration(.queue) == 500)
        #expect(timeline.duration(.inference) == 600)
        #expect(timeline.duration(.serialize) == nil)
        loop.recordStages(slot: 0, timeline)
        #expect(registry.stages(deployment: "a")[.preprocess].sumNanoseconds == 200)
        #expect(registry.stages(deployment: "b")[.preprocess].count == 0)
    }

    @Test("what is not measured reads no clock")
    func unmeasured() {
        var timeline = RequestTimeline(start: 1, isMeasured: false)
        timeline.markRouted()
        timeline.markSerialize()
        #expect(timeline.routed == 0 && timeline.serializeStart == 0)
    }
}
