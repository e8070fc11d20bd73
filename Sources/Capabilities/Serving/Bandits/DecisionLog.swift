public import AerieCore
public import Logging
import Synchronization

/// The choices of learning routers on their way to the store: taken on the data plane without waiting, written in
/// batches by `run`.
///
/// Thread-safe and bounded: past `capacity` the newest are dropped and counted. A crash loses those of the last
/// twentieth of a second, and feedback that another server takes may come before them: then it needs the answer's
/// `meta.routing`.
public final class DecisionLog: Sendable {
    public static let capacity = 65_536
    /// How long choices wait for feedback, in days.
    public static let keptDays = 7
    /// What a request may call itself, in bytes, for its choices to be kept.
    static let puidLimit = 512

    private struct Buffer {
        var waiting: [BanditDecision] = []
        var byPuid: [String: [BanditDecision]] = [:]
        var dropped = 0
    }

    private let store: (any BanditStore)?
    private let clock: any WallClock
    private let logger: Logger
    private let buffer = Mutex(Buffer())

    public init(store: (any BanditStore)?, clock: any WallClock = SystemClock(), logger: Logger) {
        self.store = store
        self.clock = clock
        self.logger = logger
    }

    /// Choices that found no room.
    public var dropped: Int { buffer.withLock { $0.dropped } }

    /// Whether choices are kept under this name: every store can hold it, so that one request's name never keeps the
    /// choices of others from being written.
    static func keeps(_ puid: String) -> Bool {
        !puid.isEmpty && puid.utf8.count <= puidLimit && !puid.utf8.contains(0)
    }

    func append(_ chosen: [RouteDecision], puid: String, of place: GraphPlace) {
        guard store != nil, Self.keeps(puid) else { return }
        let time = clock.now()
        buffer.withLock { buffer in
            guard buffer.waiting.count + chosen.count <= Self.capacity else { return buffer.dropped += chosen.count }
            for decision in chosen {
                let key = BanditKey(
                    namespace: place.namespace, deployment: place.deployment, predictor: place.predictor,
                    node: decision.node)
                let kept = BanditDecision(
                    key: key, puid: puid, arm: decision.arm, version: decision.version,
                    propensity: decision.propensity, rows: decision.rows, time: time)
                buffer.waiting.append(kept)
                buffer.byPuid[puid, default: []].append(kept)
            }
        }
    }

    /// What was chosen for a request: from what waits, else from the store.
    func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision] {
        let waiting = buffer.withLock { $0.byPuid[puid] ?? [] }
            .filter { $0.key.namespace == namespace && $0.key.deployment == deployment }
        if !waiting.isEmpty { return waiting }
        return try await store?.decisions(puid: puid, namespace: namespace, deployment: deployment) ?? []
    }

    /// Writes what waits. Choices stay findable all the while.
    public func flush() async throws(AerieError) {
        let batch = buffer.withLock { $0.waiting }
        guard !batch.isEmpty, let store else { return }
        try await store.append(batch)
        buffer.withLock { buffer in
            buffer.waiting.removeFirst(batch.count)
            buffer.byPuid = Dictionary(grouping: buffer.waiting, by: \.puid)
        }
    }

    /// Writes twenty times a second, and forgets once an hour what is too old, until the task is cancelled; then
    /// writes what is left.
    public func run() async {
        var expiry = clock.now()
        while !Task.isCancelled {
            await attempt { () async throws(AerieError) in try await flush() }
            let now = clock.now()
            if now >= expiry, let store {
                let oldest = Timestamp(milliseconds: now.milliseconds - Int64(Self.keptDays) * 86_400_000)
                await attempt { () async throws(AerieError) in try await store.expire(before: oldest) }
                expiry = Timestamp(milliseconds: now.milliseconds + 3_600_000)
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
        await attempt { () async throws(AerieError) in try await flush() }
    }

    private func attempt(_ work: () async throws(AerieError) -> Void) async {
        do throws(AerieError) { try await work() } catch {
            logger.warning("the routers' choices could not be kept", metadata: ["why": "\(error.message)"])
        }
    }
}
