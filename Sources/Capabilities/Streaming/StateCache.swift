/// The states of a stream's entities in memory, each at a place of its own until the next step begins.
struct StateCache {
    /// States before those that were not changed for long are forgotten; about 100 MB of sparse ones.
    private static let limit = 100_000

    private var places: [EntityName: Int] = [:]
    private var names: [EntityName] = []
    /// The step that asked for each last, and the one that changed it.
    private var steps: [Int] = []
    private var changes: [Int] = []
    private var step = 0
    var states: [EntityWindows] = []
    /// What the step has changed.
    private(set) var touched: [Int] = []

    mutating func beginStep() {
        touched.removeAll(keepingCapacity: true)
        step += 1
        guard states.count > Self.limit else { return }
        let middle = steps.sorted()[steps.count / 2]
        let kept = steps.indices.filter { steps[$0] > middle }
        states = kept.map { states[$0] }
        names = kept.map { names[$0] }
        changes = kept.map { changes[$0] }
        steps = kept.map { steps[$0] }
        places = Dictionary(uniqueKeysWithValues: names.enumerated().map { ($1, $0) })
    }

    /// What the step has changed, by the bytes of its keys.
    var touchedInOrder: [Int] { touched.sorted { names[$0] < names[$1] } }

    func key(_ place: Int) -> [UInt8] { names[place].bytes }

    /// The place of an entity. One that is not there gets an empty state, and its place is added to `missing`.
    mutating func place(_ key: [UInt8], _ plan: WindowPlan, _ missing: inout [Int]) -> Int {
        let name = EntityName(key)
        if let place = places[name] {
            steps[place] = step
            return place
        }
        let place = states.count
        places[name] = place
        names.append(name)
        steps.append(step)
        changes.append(0)
        states.append(EntityWindows(plan))
        missing.append(place)
        return place
    }

    /// Notes that the step has changed an entity.
    mutating func touch(_ place: Int) {
        guard changes[place] != step else { return }
        changes[place] = step
        touched.append(place)
    }
}
