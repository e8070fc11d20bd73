/// A plan as the data plane reads it: for each view the hashes of its features, for each key its type, all by number.
/// Immutable, for any thread.
public final class OnlineLayout: Sendable {
    public struct Part: Sendable {
        public let view: OnlineView
        /// The hashes of the features that are read.
        public let fields: [UInt32]
        /// Places in `keys`, in the order in which the entity's key has them.
        public let keys: [Int]
        /// The bytes of an entity's key before its values; for a view without entities the whole key.
        let keyHead: [UInt8]
    }

    public struct Output: Sendable {
        public let name: String
        public let part: Int
        /// Place in the part's fields.
        public let place: Int
        /// What stands in where the store cannot be reached.
        public let fallback: FeatureValue
    }

    public let parts: [Part]
    /// In the order of an answer's first columns. No two have one name.
    public let keys: [FeatureCatalog.JoinKey]
    public let outputs: [Output]
    public let viewNames: [String]
    public let viewVersions: [FeatureViewVersion]

    /// - Returns: `nil` for what is computed at each read, or if two keys have one name and are not the same.
    init?(_ plan: OnlinePlan) {
        // What is computed at each read goes the general way.
        guard plan.computations.isEmpty, plan.parts.allSatisfy({ $0.view.online.windows == nil }) else { return nil }
        var keys: [FeatureCatalog.JoinKey] = []
        var parts: [Part] = []
        for part in plan.parts {
            var places: [Int] = []
            for key in part.view.joinKeys {
                let place = keys.firstIndex { $0.name == key.name } ?? keys.count
                if place == keys.count { keys.append(key) }
                guard keys[place] == key else { return nil }
                places.append(place)
            }
            let head = part.view.entityKey.head
            parts.append(
                Part(
                    view: part.view.online, fields: part.features.map { part.view.online.fields[$0] }, keys: places,
                    keyHead: places.isEmpty ? head + [2, 0, 0, 0, 0, 0, 0, 0] : head))
        }
        self.parts = parts
        self.keys = keys
        outputs = plan.outputs.map { output in
            Output(name: output.name, part: output.part, place: output.place, fallback: plan.fallback(output))
        }
        viewNames = plan.viewNames
        viewVersions = plan.viewVersions
    }
}

extension OnlinePlan {
    /// See `OnlineLayout`; `nil` for what only the general way reads.
    public var layout: OnlineLayout? { OnlineLayout(self) }
}
