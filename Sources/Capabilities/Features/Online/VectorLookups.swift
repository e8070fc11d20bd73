public import AerieCore

/// A feature service's numbers as one thread reads them with its own reader: the plan is worked out, rows are read
/// where they lie, and the lists are filled again for each read, so that nothing is allocated once they have grown.
///
/// What `FeatureVectors` says of the same entities, without features that are computed of others.
public final class VectorLookups: OnlineLookups {
    private let plan: OnlineLayout
    private let store: FeatureStore
    private let reader: any OnlineReader
    /// By feature: what stands in for a value, and the age in microseconds past which that does.
    private let fallbacks: [Double]
    private let lives: [Int64]
    /// By feature, then by row.
    private var values: [Double] = []
    public private(set) var missing: [Int]
    public private(set) var stale: [Int]
    /// Why the last read failed; every value is then its default.
    public private(set) var failure: AerieError?
    /// Who waits for a read that is under way.
    private var ended: (() -> Void)?

    init(
        _ plan: OnlineLayout, fallbacks: [Double], lives: [Int64], store: FeatureStore, reader: any OnlineReader
    ) {
        self.plan = plan
        self.fallbacks = fallbacks
        self.lives = lives
        self.store = store
        self.reader = reader
        missing = fallbacks.map { _ in 0 }
        stale = missing
        super.init()
    }

    /// Forgets the entities of the last read.
    public func begin() { begin(plan) }

    /// The next entity's value of a key, by its place in `FeatureVectors.keys`.
    /// - Returns: false if the key's type does not take it.
    public func append(_ number: Int64, key place: Int) -> Bool {
        append(number, key: place, type: plan.keys[place].type)
    }

    /// The same for a text in UTF-8.
    public func append(_ text: UnsafeRawBufferPointer, key place: Int) -> Bool {
        append(text, key: place, type: plan.keys[place].type)
    }

    /// All entities are named.
    /// - Returns: how many; `nil` if the keys have not as many values each.
    public func end() -> Int? { seal() ? count : nil }

    /// On the caller's thread, in a microsecond or so for each entity; of a store in this process.
    public func read() { reader.read(self) }

    /// Reads a store that may be elsewhere.
    /// - Parameter ended: called once the values are there, on the reader's thread: within the call or later. Until
    ///   then nothing else may be read with these lookups.
    public func read(_ ended: @escaping () -> Void) {
        self.ended = ended
        reader.read(self)
    }

    /// What the last read has found, as `FeatureVectors` gives it.
    public var columns: FeatureVectors.Columns {
        let columns = plan.outputs.indices.map { Array(values[($0 * count)..<(($0 + 1) * count)]) }
        return FeatureVectors.Columns(values: columns, missing: missing, stale: stale)
    }

    public var viewNames: [String] { plan.viewNames }

    /// A feature's number for a row of the last read; NaN where there is neither a value nor a default.
    public func value(_ feature: Int, row: Int) -> Double { values[feature * count + row] }

    override public func finished(_ failure: AerieError?) {
        take(failure)
        guard let ended else { return }
        self.ended = nil
        ended()
    }

    private func take(_ failure: AerieError?) {
        let cells = plan.outputs.count * count
        if values.count < cells { values.append(contentsOf: repeatElement(.nan, count: cells - values.count)) }
        var problem = failure
        if problem == nil {
            do throws(AerieError) { try fill(at: store.clock.now().milliseconds * 1000) } catch { problem = error }
        }
        self.failure = problem
        guard problem != nil else {
            if store.sampling.isDue() { store.sample(self) }
            return
        }
        for feature in plan.outputs.indices {
            for row in 0..<count { values[feature * count + row] = fallbacks[feature] }
            (missing[feature], stale[feature]) = (count, 0)
        }
    }

    private func fill(at now: Int64) throws(AerieError) {
        for feature in plan.outputs.indices {
            let (part, place) = (plan.outputs[feature].part, plan.outputs[feature].place)
            var (unknown, old) = (0, 0)
            for entity in 0..<count {
                var cell = fallbacks[feature]
                let row = row(part: part, entity: entity)
                if row.isFound,
                    let number = try FeatureValue.number(
                        protobuf: value(part: part, entity: entity, field: place))
                {
                    if now &- row.time > lives[feature] { old += 1 } else { cell = number }
                } else {
                    unknown += 1
                }
                values[feature * count + entity] = cell
            }
            (missing[feature], stale[feature]) = (unknown, old)
        }
    }
}

extension FeatureVectors {
    /// The same features for one thread, which reads them with its own reader; `nil` where only the general way gives
    /// them: where one is computed at each read, or no entity is named.
    /// - Parameter reader: of the store; one in this process finishes a read before it returns.
    public func lookups(_ reader: any OnlineReader) -> VectorLookups? {
        guard let layout = plan.layout, !layout.keys.isEmpty, layout.keys == keys else { return nil }
        let lives = plan.outputs.map { plan.parts[$0.part].view.definition.timeToLive ?? Int64.max }
        return VectorLookups(layout, fallbacks: fallbacks, lives: lives, store: store, reader: reader)
    }
}
