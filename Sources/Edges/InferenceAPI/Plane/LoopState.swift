import AerieCore
import AerieHTTP
import AerieTelemetry
import NIOCore
import Serving

/// All that one event loop owns: the present plan, buffers that are used again for each request, counters.
///
/// `@unchecked Sendable`: made on one thread, from then on touched on its event loop only.
final class LoopState: HTTPLoop, @unchecked Sendable {
    let metrics: LoopMetrics
    let pool: InferencePool
    /// For explanations, which take their time and must not keep models waiting.
    let explanations: InferencePool
    let options: InferencePlane.Options
    var plan = ServingPlan(.empty)
    let scratch = InferScratch()
    /// The binary part of the present answer.
    var tail = ByteBuffer()
    /// The present answer over gRPC.
    var message = ByteBuffer()
    /// The outputs that the present answer will hold.
    var selection: [SelectedOutput] = []
    let readiness: Readiness
    /// Set where predictions are kept.
    let recorder: PredictionRecorder?
    /// The counters of all loops, for those who ask how a model does.
    let statistics: PlaneStatistics
    /// What is noted of the present request.
    var flow = RequestFlow()
    /// The model's work that the next completion is about.
    var lastRun: ModelRunTimes?
    /// Whether the loop sleeps when this turn ends, and whether it has predicted anything since it last did.
    var isResting = false
    var hasPredicted = false
    /// Requests since the last sweep.
    var measured = 0
    /// This loop's way to features, and what it has met of them since `assembled` is the plan.
    let lanes: (any FeatureLanes)?
    var assembled: ServingPlan?
    var assemblies: [(binding: FeatureBinding, assembly: FeatureAssembly?)] = []
    private var randomState: UInt64

    init(
        eventLoop: any EventLoop, metrics: LoopMetrics, pool: InferencePool, explanations: InferencePool,
        options: InferencePlane.Options, readiness: Readiness, statistics: PlaneStatistics
    ) {
        self.statistics = statistics
        self.readiness = readiness
        self.metrics = metrics
        self.pool = pool
        self.explanations = explanations
        self.options = options
        lanes = options.featureLanes?(eventLoop)
        recorder = options.predictionSink.map { PredictionRecorder(sink: $0) }
        randomState = options.seed ?? .random(in: .min ... .max)
        super.init(eventLoop: eventLoop, options: options.http, loopCount: statistics.loops.count)
    }

    /// 64 random bits (splitmix64): for traffic splits, not for secrets.
    func random() -> UInt64 {
        randomState &+= 0x9e37_79b9_7f4a_7c15
        var bits = randomState
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    /// Calls of each gRPC connection that are on the pool.
    private var pooled: [Int: Int] = [:]

    /// Counts a call in.
    /// - Throws: `resourceExhausted` if its connection has as many there as may be.
    func enter(_ connection: Int) throws(AerieError) {
        let count = pooled[connection, default: 0]
        guard count < options.poolCapacityPerConnection else {
            throw AerieError(
                .resourceExhausted, "\(count) calls of this connection are waiting for slow models; try again shortly",
                reason: "serving.connectionLimit")
        }
        pooled[connection] = count + 1
    }

    func leave(_ connection: Int) {
        let count = pooled[connection, default: 0] - 1
        pooled[connection] = count > 0 ? count : nil
    }

    override func sweep() {
        recorder?.flush()
        measured = 0
        super.sweep()
    }

    /// 36 characters of a random UUID (version 4) behind the scratch's text. No allocation once the text has room.
    func keepNewPuid() -> Range<Int> {
        let high = (random() & 0xffff_ffff_ffff_0fff) | 0x4000
        let low = (random() & 0x3fff_ffff_ffff_ffff) | 0x8000_0000_0000_0000
        let start = scratch.text.count
        for place in 0..<32 {
            if place == 8 || place == 12 || place == 16 || place == 20 { scratch.text.append(UInt8(ascii: "-")) }
            let bits = place < 16 ? high >> UInt64(60 - 4 * place) : low >> UInt64(124 - 4 * place)
            let digit = UInt8(truncatingIfNeeded: bits & 15)
            scratch.text.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
        }
        return start..<scratch.text.count
    }
}
