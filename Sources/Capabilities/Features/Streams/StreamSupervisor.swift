public import AerieCore
import AerieJSON
import AerieResources
public import Logging
public import Streaming

/// Keeps the streams of all views going: starts consumers for those that read a log, ends them when a view goes or
/// changes, publishes what was left over, forgets what no window needs, and writes how they do into the views' status.
public actor StreamSupervisor {
    private struct Running {
        var consumptions: [StreamConsumption]
        var tasks: [Task<Void, Never>]
        /// Why there are no consumers.
        var problem: String?
    }

    private let store: FeatureStore
    private let log: any EventLog
    private let logger: Logger
    private var running: [String: Running] = [:]
    private var seen = -1
    private var tended: Int64 = 0
    private var swept: Int64 = 0
    private var reportedAt: Int64 = 0
    private var reported: [String: JSONValue] = [:]

    /// Between two looks at what has changed, and between two rounds of tidying up.
    private static let pause = Duration.milliseconds(500)
    private static let tendingPause: Int64 = 10_000
    private static let reportPause: Int64 = 30_000
    private static let sweepPause: Int64 = 600_000

    public init(store: FeatureStore, log: any EventLog, logger: Logger) {
        self.store = store
        self.log = log
        self.logger = logger
    }

    /// Until the task is cancelled; then every consumer has left its group.
    public func run() async {
        while !Task.isCancelled {
            do throws(AerieError) {
                let streams = try store.streams()
                try await follow(streams)
                try await tend(streams)
            } catch {
                // Without a place for states there is nothing to keep going.
                if error.reason == "native.lmdb" { return }
                logger.warning("streams cannot be tended", metadata: ["error": "\(error)"])
                try? await Task.sleep(for: .seconds(5))
            }
            do { try await Task.sleep(for: Self.pause) } catch { break }
        }
        // All at once: each may have to wait for brokers that are away.
        for task in running.values.flatMap(\.tasks) { task.cancel() }
        for name in running.keys { await end(name) }
    }

    /// How the stream of each view with windows does.
    public func statuses() async throws(AerieError) -> [StreamStatus] {
        let streams = try store.streams()
        var statuses: [StreamStatus] = []
        for view in try await views() {
            guard let name = view.streamName else { continue }
            let (totals, positions) = try await streams.progress(view)
            let states = running[name]?.consumptions.map(\.state) ?? []
            statuses.append(
                StreamStatus(
                    namespace: view.key.namespace, view: view.definition.name, topic: view.streamSource?.kafka?.topic,
                    totals: totals, positions: positions, lag: states.reduce(0) { $0 + $1.lag },
                    problem: running[name]?.problem ?? states.lazy.compactMap(\.problem).first))
        }
        return statuses
    }

    /// - Throws: `notFound` for an unknown view, `invalidArgument` for one without a stream.
    public func deadLetters(
        _ name: String, namespace: String, limit: Int
    ) async throws(AerieError) -> [DeadLetter] {
        let view = try await store.catalog(namespace).view(name)
        guard let stream = view.streamName else {
            throw .invalid("", "feature view '\(name)' has neither aggregations nor a stream")
        }
        return try await store.streams().states.deadLetters(stream, limit: limit)
    }

    // MARK: Consumers

    private func views() async throws(AerieError) -> [FeatureCatalog.View] {
        let namespaces = Set(try await store.resources.list(kind: "FeatureView").map(\.metadata.namespace))
        var views: [FeatureCatalog.View] = []
        for namespace in namespaces.sorted() {
            let catalog = try await store.catalog(namespace)
            views += catalog.views.values.sorted { $0.definition.name < $1.definition.name }
        }
        return views.filter { $0.streamName != nil }
    }

    /// Views that are there, and that no catalogue could make anything of.
    private func unreadable() async throws(AerieError) -> Set<String> {
        var names: Set<String> = []
        for resource in try await store.resources.list(kind: "FeatureView") {
            let (namespace, name) = (resource.metadata.namespace, resource.metadata.name)
            if try await store.catalog(namespace).views[name] == nil { names.insert("\(namespace)/\(name)") }
        }
        return names
    }

    /// Does what the declarations say, if they have changed.
    private func follow(_ streams: FeatureStreams) async throws(AerieError) {
        let count = store.resources.changeCount
        guard count != seen else { return }
        let views = try await views()
        var wanted: Set<String> = []
        for view in views {
            guard let name = view.streamName, let source = view.streamSource else { continue }
            wanted.insert(name)
            let made = Made(view, source)
            if let known = running[name], known.problem == nil, started[name] == made { continue }
            await end(name)
            started[name] = made
            let intake = try streams.intake(view, writer: store.rowWriter(view))
            let positions = KnownPositions(try await streams.progress(view).positions)
            if let kafka = source.kafka { running[name] = start(view, kafka, intake, positions) }
        }
        for name in running.keys where !wanted.contains(name) { await end(name) }
        try await streams.clean(views, unreadable: try await unreadable())
        seen = count
    }

    /// What a consumer was started for: all that says how messages become events or rows, and what becomes of them.
    /// A description, a default or a time to live is not among it, and leaves the consumer at work.
    private struct Made: Hashable {
        private var source: StreamSource
        private var keys: [FeatureCatalog.JoinKey]
        private var mapping: [String: String]
        private var columns: [String?]
        private var features: [String: FeatureType]
        private var quality: FeatureQuality?

        init(_ view: FeatureCatalog.View, _ source: StreamSource) {
            let definition = view.definition
            self.source = source
            keys = view.joinKeys
            mapping = definition.fieldMapping
            columns = [definition.timestampField, definition.createdTimestampColumn]
            features = Dictionary(definition.features.map { ($0.name, $0.type) }) { first, _ in first }
            quality = view.quality
        }
    }

    private var started: [String: Made] = [:]

    private func start(
        _ view: FeatureCatalog.View, _ kafka: StreamSource.Kafka, _ intake: any StreamIntake,
        _ positions: KnownPositions
    ) -> Running {
        var running = Running(consumptions: [], tasks: [])
        let subscription = EventSubscription(
            brokers: kafka.brokers, topic: kafka.topic, group: kafka.group, options: kafka.options
        ) { positions[$0] }
        for _ in 0..<kafka.consumers {
            do throws(AerieError) {
                let consumption = StreamConsumption(
                    intake, positions: positions, consumer: try log.consume(subscription))
                running.consumptions.append(consumption)
                running.tasks.append(Task { await consumption.run() })
            } catch {
                logger.error(
                    "a stream cannot be read", metadata: ["view": "\(view.key)", "error": "\(error.message)"])
                running.problem = error.message
            }
        }
        return running
    }

    private func end(_ name: String) async {
        started[name] = nil
        guard let old = running.removeValue(forKey: name) else { return }
        for task in old.tasks { task.cancel() }
        for task in old.tasks { await task.value }
    }

    // MARK: Status

    private func tend(_ streams: FeatureStreams) async throws(AerieError) {
        let now = store.clock.now().milliseconds
        guard now - tended >= Self.tendingPause else { return }
        tended = now
        try await streams.catchUp()
        if now - swept >= Self.sweepPause {
            swept = now
            try await streams.sweep()
        }
        guard now - reportedAt >= Self.reportPause else { return }
        reportedAt = now
        for status in try await statuses() {
            guard let view = try? await store.catalog(status.namespace).view(status.view) else { continue }
            let stream = status.json
            if reported[view.uid] == stream { continue }
            try await store.resources.changeStatus(view.key, uid: view.uid) { $0["stream"] = stream }
            reported[view.uid] = stream
        }
    }
}
