import AerieCore
import AerieJSON
import Features

/// Which features of a catalogue are wanted.
struct FeatureSearch {
    /// Each has to stand in the feature's or the view's name, description, owner or tags.
    var words: [Substring]
    var owner: String?
    /// The view's or the feature's; `nil` for a tag with any value.
    var tags: [(key: String, value: String?)]

    /// - Parameter tags: `key` or `key=value`.
    init(words: String, owner: String?, tags: [String]) {
        self.words = words.lowercased().split(separator: " ")
        self.owner = owner
        self.tags = tags.map { text in
            let parts = text.split(separator: "=", maxSplits: 1).map { String($0) }
            return (parts.first ?? "", parts.count > 1 ? parts[1] : nil)
        }
    }

    /// The view's tags and the feature's own, which go before.
    func tags(_ feature: FeatureViewDefinition.Feature, _ view: FeatureCatalog.View) -> JSONObject {
        var tags = JSONObject()
        for (key, value) in view.tags.merging(feature.tags, uniquingKeysWith: { $1 }).sorted(by: { $0.key < $1.key }) {
            tags[key] = .string(value)
        }
        return tags
    }

    func fits(_ feature: FeatureViewDefinition.Feature, of view: FeatureCatalog.View) -> Bool {
        if let owner, view.owner != owner { return false }
        let known = view.tags.merging(feature.tags, uniquingKeysWith: { $1 })
        for tag in tags {
            guard let value = known[tag.key], tag.value == nil || tag.value == value else { return false }
        }
        let text = [
            view.definition.name, feature.name, feature.description, view.description, view.owner,
            known.map { "\($0.key) \($0.value)" }.joined(separator: " "),
        ].joined(separator: " ").lowercased()
        return words.allSatisfy { text.contains($0) }
    }
}
