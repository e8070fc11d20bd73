import Serving
import AerieTelemetry
import NIOCore

/// All that one event loop owns: the present plan, buffers that are used again for each request, counters.
///
/// `@unchecked Sendable`: made on one thread, from then on touched on its event loop only.
final class LoopState: @unchecked Sendable {
    let eventLoop: any EventLoop
    let metrics: LoopMetrics
    let pool: InferencePool
    let options: InferencePlane.Options
    var plan = ServingPlan(.empty)
    let scratch = InferScratch()
    /// Answers of the present read batch, and the binary part of the present answer.
    var out = ByteBuffer()
    var tail = ByteBuffer()
    /// The outputs that the present answer will hold.
    var selection: [SelectedOutput] = []
    var isDraining = false
    private(set) var connections: [ObjectIdentifier: HTTPConnection] = [:]
    private var randomState: UInt64

    init(eventLoop: any EventLoop, metrics: LoopMetrics, pool: InferencePool, options: InferencePlane.Options) {
        self.eventLoop = eventLoop
        self.metrics = metrics
        self.pool = pool
        self.options = options
        randomState = options.seed ?? .random(in: .min ... .max)
    }

    /// 64 random bits (splitmix64): for traffic splits, not for secrets.
    func random() -> UInt64 {
        randomState &+= 0x9e37_79b9_7f4a_7c15
        var bits = randomState
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }

    func add(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = connection }
    func remove(_ connection: HTTPConnection) { connections[ObjectIdentifier(connection)] = nil }

    /// Closes what is idle or too slow.
    func sweep() {
        let now = NIODeadline.now()
        for connection in connections.values { connection.checkTime(now) }
    }

    /// From now on each connection closes after the answer it is at; idle ones close at once.
    func drain() {
        isDraining = true
        for connection in connections.values { connection.drain() }
    }

    func closeAll() {
        for connection in connections.values { connection.closeNow() }
    }
}
