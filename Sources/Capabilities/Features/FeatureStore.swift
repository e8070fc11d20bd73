public import AerieCore
public import AerieResources
public import AerieTelemetry
public import Datasets
public import Streaming
import Synchronization

/// The feature store: what is declared as resources, kept online in a store of its own and offline where it lies.
///
/// Reads take the declarations from a catalogue in memory, which is made anew after each change of a resource; the plan
/// of a read, with every name resolved, is kept with it. Safe to call from any task.
public final class FeatureStore: Sendable {
    /// Which features, and how they are called in the answer.
    public struct Selection: Sendable, Hashable {
        /// `view:feature`, in the order of the answer. Not looked at if there is a service.
        public var references: [String]
        public var service: String?
        /// `view__feature` instead of `feature`.
        public var usesFullNames: Bool

        public init(references: [String] = [], service: String? = nil, usesFullNames: Bool = false) {
            self.references = references
            self.service = service
            self.usesFullNames = usesFullNames
        }
    }

    struct Snapshot: Sendable {
        var changeCount: Int
        var catalog: FeatureCatalog
        var plans: [Selection: OnlinePlan] = [:]
    }

    public let online: any OnlineStore
    /// The store below, which keeps what windows are computed of: for readers of views without them.
    public let stored: any OnlineStore
    let resources: ResourceService
    /// A new engine for each piece of offline work, so that they run beside each other.
    let engine: @Sendable () throws(AerieError) -> any SQLEngine
    /// How sources are reached that are more than files.
    let access: SourceAccess
    let clock: any WallClock
    let documents: (any DefinitionDocumentStore)?
    /// `nil` where views with Python functions cannot be read.
    let functions: (any FunctionRunner)?
    /// `nil` where texts are not searched for by their vectors.
    let embedder: (any TextEmbedder)?
    let featureStreams: FeatureStreams?
    private let snapshots = Mutex<[String: Snapshot]>([:])
    /// Whether the rows of each version of a view are kept apart.
    public let keepsVersions: Bool
    /// The versions of views, by the uid and the generation of the view.
    private let histories = Mutex<[ResourceKey: (uid: String, generation: Int64, versions: FeatureViewVersions)]>([:])
    /// The views that are being materialized.
    let busy = Mutex<Set<ResourceKey>>([])
    public let materializations = MaterializationRuns()
    public let counters: FeatureCounters
    /// Statistics, quarantine and sampled reads; `nil` where nobody keeps them.
    let log: (any FeatureLog)?
    public let sampling: ReadSampling
    public let skew = SkewBoard()

    private static let planLimit = 1000

    /// - Parameters:
    ///   - documents: what clients of other feature stores have declared, to say why some of it is not there.
    ///   - states: `nil` where views with windows cannot be fed.
    ///   - keepsVersions: whether rows of the versions of a view are kept apart online, and each can be read.
    public init(
        resources: ResourceService, online: any OnlineStore, access: SourceAccess = .local,
        documents: (any DefinitionDocumentStore)? = nil, functions: (any FunctionRunner)? = nil,
        embedder: (any TextEmbedder)? = nil, states: (any StreamStateStore)? = nil, keepsVersions: Bool = false,
        clock: any WallClock = SystemClock(),
        log: (any FeatureLog)? = nil, metrics: MetricsRegistry? = nil, sampleEvery: Int = 1000,
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine
    ) {
        self.resources = resources
        self.online = online.answeringWindows(clock)
        stored = online
        self.access = access
        self.documents = documents
        self.clock = clock
        self.functions = functions
        self.embedder = embedder
        self.keepsVersions = keepsVersions
        featureStreams = states.map { FeatureStreams(states: $0, online: online, clock: clock) }
        self.engine = engine
        self.log = log
        sampling = ReadSampling(every: sampleEvery)
        counters = FeatureCounters(metrics, clock: clock)
    }

    /// The streams of views with windows.
    /// - Throws: `unavailable` if their state cannot be kept here.
    public func streams() throws(AerieError) -> FeatureStreams {
        guard let featureStreams else {
            throw AerieError(.unavailable, "the state of streams cannot be kept: LMDB is not there", reason: "native.lmdb")
        }
        return featureStreams
    }

    /// The declarations as they are now. Costs nothing while nothing changes.
    public func catalog(_ namespace: String = "default") async throws(AerieError) -> FeatureCatalog {
        let count = resources.changeCount
        if let known = snapshots.withLock({ $0[namespace] }), known.changeCount == count { return known.catalog }
        let views = try await resources.list(kind: "FeatureView", namespace: namespace)
        let catalog = FeatureCatalog(
            namespace: namespace, entities: try await resources.list(kind: "Entity", namespace: namespace),
            views: views,
            services: try await resources.list(kind: "FeatureService", namespace: namespace),
            connections: try await resources.list(kind: "SourceConnection", namespace: namespace),
            versions: try await versions(of: views))
        let snapshot = Snapshot(changeCount: count, catalog: catalog)
        snapshots.withLock { $0[namespace] = snapshot }
        return catalog
    }

    /// By the view's name; none where versions are not kept apart. A history is read again when its spec changes.
    private func versions(of views: [Resource]) async throws(AerieError) -> [String: FeatureViewVersions] {
        guard keepsVersions else { return [:] }
        var found: [String: FeatureViewVersions] = [:]
        for view in views {
            let (uid, generation) = (view.metadata.uid, view.metadata.generation)
            if let known = histories.withLock({ $0[view.key] }), known.uid == uid, known.generation == generation {
                found[view.metadata.name] = known.versions
                continue
            }
            let versions = FeatureViewVersions(try await resources.versions(view.key), of: view.metadata.name)
            histories.withLock { $0[view.key] = (uid, generation, versions) }
            found[view.metadata.name] = versions
        }
        return found
    }

    /// Which of the versions that are kept apart online each version of a view's definition belongs to, oldest first.
    /// - Returns: none where they are not kept apart.
    /// - Throws: `notFound` if there never was such a view.
    public func versionNumbers(_ key: ResourceKey) async throws(AerieError) -> [Int] {
        guard keepsVersions, key.kind == "FeatureView" else { return [] }
        return FeatureViewVersions(try await resources.versions(key), of: key.name).numbers
    }

    /// Whether views with Python functions can be read.
    public var runsFunctions: Bool { functions != nil }

    /// Grows with each change of a definition: a plan that was made at another count may be old. No system call.
    public var changeCount: Int { resources.changeCount }

    /// The plan of a read, made at its first use.
    /// - Throws: `notFound` or `invalidArgument` for what the selection names wrongly.
    public func plan(_ selection: Selection, namespace: String = "default") async throws(AerieError) -> OnlinePlan {
        let count = resources.changeCount
        let known = snapshots.withLock { $0[namespace].flatMap { $0.changeCount == count ? $0.plans[selection] : nil } }
        if let known { return known }
        let catalog = try await catalog(namespace)
        let plan: OnlinePlan
        do throws(AerieError) { plan = try OnlinePlan(selection, in: catalog) } catch {
            throw await explained(error, namespace: namespace)
        }
        snapshots.withLock { snapshots in
            guard snapshots[namespace]?.changeCount == count else { return }
            if (snapshots[namespace]?.plans.count ?? 0) >= Self.planLimit { snapshots[namespace]?.plans = [:] }
            snapshots[namespace]?.plans[selection] = plan
        }
        return plan
    }
}
