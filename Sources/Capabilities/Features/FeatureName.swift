/// The rule for names of entities, views, services and features: `view:feature` and `view__feature` must stay clear.
enum FeatureName {
    /// What is wrong with it; `nil` if nothing is.
    static func problem(_ name: String) -> String? {
        if name.isEmpty { return "must not be empty" }
        if name.utf8.count > 200 { return "is longer than 200 bytes" }
        for part in [":", "/", "@", "__"] where name.contains(part) {
            return "'\(name)' must not contain '\(part)', which separates a view from a feature"
        }
        return nil
    }

    /// The two halves of `view:feature` or `view/feature`; `nil` without either.
    static func split(_ reference: String) -> (view: String, feature: String)? {
        guard let at = reference.firstIndex(of: ":") ?? reference.firstIndex(of: "/") else { return nil }
        let (view, feature) = (String(reference[..<at]), String(reference[reference.index(after: at)...]))
        return view.isEmpty || feature.isEmpty ? nil : (view, feature)
    }
}
