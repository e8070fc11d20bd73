public import AerieCore

/// The rule for names of entities, views, services and features: `view:feature`, `view/feature` and `view@v2` must stay
/// clear. (`view__feature` is written and never read; of two that would be the same a question for both is refused.)
public enum FeatureName {
    /// What is wrong with the name of an entity, a view or a service; `nil` if nothing is.
    static func problem(_ name: String) -> String? { problem(name, without: [":", "/", "@"]) }

    /// What is wrong with the name of a feature, which stands behind its view's; `nil` if nothing is.
    static func problem(ofFeature name: String) -> String? { problem(name, without: [":", "@"]) }

    private static func problem(_ name: String, without parts: [String]) -> String? {
        if name.isEmpty { return "must not be empty" }
        if name.utf8.count > 200 { return "is longer than 200 bytes" }
        if name.hasPrefix("__") { return "'\(name)' must not begin with '__', as columns of the platform's own do" }
        for part in parts where name.contains(part) {
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

    /// The two halves of `view@v2`; no number for `view` and `view@latest`. Anything else behind an `@` is taken as
    /// part of the name, which then no view has.
    static func versioned(_ name: String) -> (view: String, version: Int?) {
        guard let at = name.firstIndex(of: "@") else { return (name, nil) }
        let (view, word) = (String(name[..<at]), name[name.index(after: at)...].lowercased())
        if word.isEmpty || word == latest { return (view, nil) }
        guard word.first == "v", let number = number(word.dropFirst()) else { return (name, nil) }
        return (view, number)
    }

    /// What stands behind a view's name for one of its versions.
    static func suffix(_ version: Int) -> String { "@v\(version)" }

    private static let latest = "latest"

    private static func number(_ digits: some StringProtocol) -> Int? {
        digits.utf8.allSatisfy { (0x30...0x39).contains($0) } ? Int(digits) : nil
    }

    /// Reads the name of a version: `v2`, `version2`, or `latest` for the present one, in any case.
    /// - Returns: `nil` for the present one.
    public static func version(_ text: String) throws(AerieError) -> Int? {
        let word = text.lowercased()
        if word.isEmpty || word == latest { return nil }
        for prefix in ["version", "v"] where word.hasPrefix(prefix) {
            if let number = number(word.dropFirst(prefix.count)) { return number }
        }
        throw .invalid(
            "version", "Invalid version string '\(text)'. Expected 'latest', 'vN', or 'versionN' (e.g. 'v2', 'version3').")
    }
}
