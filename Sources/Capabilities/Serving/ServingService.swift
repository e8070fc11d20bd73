public import AerieCore
public import AerieResources
public import AerieTelemetry
import Synchronization

/// What is deployed now: the table that the data plane answers from, the deployments that are not ready, and the names
/// of the metrics slots.
///
/// Thread-safe. Reading takes one short lock; the data plane does not even do that: it keeps the table that `subscribe`
/// handed to it.
public final class ServingService: Sendable {
    private struct Slots {
        var labels: [SlotLabels] = []
        var index: [SlotLabels: Int] = [:]
    }

    private struct Deployments {
        var table = ServingTable.empty
        var served: [String: ServedDeployment] = [:]
        var states: [String: DeploymentState] = [:]
        /// What requests that wait for them may take.
        var sleeping: [String: RequestLimits] = [:]

        mutating func nextTable() -> ServingTable {
            table = ServingTable(
                generation: table.generation + 1, deployments: Array(served.values), sleeping: Set(sleeping.keys),
                sleepingLimits: sleeping)
            return table
        }
    }

    private let deployments = Mutex(Deployments())
    private let slots = Mutex(Slots())
    /// Which resource a name on the table belongs to.
    private let claims = Mutex<[String: ResourceKey]>([:])
    /// Held while a table is made and handed out, so that subscribers get tables in the order of their generations.
    private let subscribers = Mutex<[@Sendable (ServingTable) -> Void]>([])

    /// - Parameter metrics: where the names of the slots are needed; `nil` for none.
    public init(metrics: MetricsRegistry? = nil) {
        metrics?.describeSlots { [weak self] slot in self?.slotLabels(slot) }
    }

    /// The newest table.
    public func current() -> ServingTable { deployments.withLock { $0.table } }

    /// Calls `onChange` with the present table before it returns, and with each new one later, in order, on the thread
    /// that made it. `onChange` must be quick and must not call `subscribe`, `publish` or `remove`.
    public func subscribe(_ onChange: @escaping @Sendable (ServingTable) -> Void) {
        subscribers.withLock { subscribers in
            subscribers.append(onChange)
            onChange(current())
        }
    }

    /// Every deployment by name, those that do not answer as well.
    public func states() -> [DeploymentState] {
        deployments.withLock { $0.states.values.sorted { ($0.name, $0.namespace) < ($1.name, $1.namespace) } }
    }

    /// The state of a deployment by the name that requests use.
    public func state(named name: String) -> DeploymentState? { deployments.withLock { $0.states[name] } }

    /// What a slot stands for; `nil` for one that was never given out.
    public func slotLabels(_ slot: Int) -> SlotLabels? {
        slots.withLock { $0.labels.indices.contains(slot) ? $0.labels[slot] : nil }
    }

    /// The slot of these labels: the same for the same labels while the process lives.
    public func slot(for labels: SlotLabels) -> Int {
        slots.withLock { slots in
            if let slot = slots.index[labels] { return slot }
            slots.labels.append(labels)
            slots.index[labels] = slots.labels.count - 1
            return slots.labels.count - 1
        }
    }

    /// Puts a deployment on the table, or takes it off (`served` is nil), and says how it stands.
    ///
    /// A new table is made and handed out only if `served` is another object than before, or `sleeping` has changed.
    /// - Parameter sleeping: what a request may take that waits for its models, where those come into memory when it is
    ///   asked for; else `nil`.
    /// - Throws: `alreadyExists` where another namespace has a deployment of that name: requests name a deployment
    ///   without its namespace.
    public func publish(
        _ state: DeploymentState, served: ServedDeployment?, sleeping: RequestLimits? = nil
    ) throws(AerieError) {
        let refusal: AerieError? = subscribers.withLock { subscribers in
            let (refusal, table): (AerieError?, ServingTable?) = deployments.withLock { deployments in
                if let other = deployments.states[state.name], other.namespace != state.namespace {
                    let problem = "the name \(state.name) is taken by a deployment in the namespace \(other.namespace)"
                        + "; requests name a deployment without its namespace, so choose another name"
                    return (AerieError(.alreadyExists, problem), nil)
                }
                deployments.states[state.name] = state
                guard deployments.served[state.name] !== served
                    || deployments.sleeping[state.name] != sleeping
                else { return (nil, nil) }
                deployments.served[state.name] = served
                deployments.sleeping[state.name] = sleeping
                return (nil, deployments.nextTable())
            }
            if let table { subscribers.forEach { $0(table) } }
            return refusal
        }
        if let refusal { throw refusal }
    }

    /// Takes a name for a resource, once and for all until it is released.
    /// - Throws: `alreadyExists` where a resource of another kind or namespace has it: requests name a deployment by
    ///   its name alone.
    public func claim(_ name: String, for key: ResourceKey) throws(AerieError) {
        let owner = claims.withLock { claims -> ResourceKey in
            if claims[name] == nil { claims[name] = key }
            return claims[name] ?? key
        }
        guard owner != key else { return }
        let place = owner.namespace == key.namespace ? "" : " in the namespace \(owner.namespace)"
        throw AerieError(
            .alreadyExists,
            "the name \(name) is taken by a \(owner.kind == "SeldonDeployment" ? "deployment" : owner.kind)\(place)"
                + "; requests name a deployment without its kind and namespace, so choose another name")
    }

    /// Whether the resource has that name: only then what it stood for may be taken down.
    func hasClaim(_ name: String, _ key: ResourceKey) -> Bool { claims.withLock { $0[name] == key } }

    /// Gives a name back; nothing happens if another resource has it.
    public func release(_ name: String, by key: ResourceKey) {
        claims.withLock { claims in if claims[name] == key { claims[name] = nil } }
    }

    /// What answers for a deployment now.
    public func served(namespace: String, name: String) -> ServedDeployment? {
        deployments.withLock { deployments in
            deployments.served[name].flatMap { $0.namespace == namespace ? $0 : nil }
        }
    }

    /// Takes a deployment off the table and forgets it. Nothing happens if it is not there.
    public func remove(namespace: String, name: String) {
        subscribers.withLock { subscribers in
            let table: ServingTable? = deployments.withLock { deployments in
                guard deployments.states[name]?.namespace == namespace else { return nil }
                deployments.states[name] = nil
                let wasSleeping = deployments.sleeping.removeValue(forKey: name) != nil
                guard deployments.served.removeValue(forKey: name) != nil || wasSleeping else { return nil }
                return deployments.nextTable()
            }
            if let table { subscribers.forEach { $0(table) } }
        }
    }
}
