public import AerieCore

/// `view:feature`; `view/feature` is understood as well, and `view@v2:feature` for one of the view's versions. A
/// service may call the view otherwise and join it by other columns, so that one view can be joined twice.
public struct FeatureReference: Sendable, Hashable, CustomStringConvertible {
    /// The view's own name.
    public var view: String
    public var feature: String
    /// Which of the view's versions, counted from 0; `nil` for the present one.
    public var version: Int?
    /// What the view is called in results; `nil` for its own name.
    public var alias: String?
    /// Join key of the view -> column that has its values; only those that differ.
    public var joinKeys: [String: String] = [:]

    public init(
        view: String, feature: String, version: Int? = nil, alias: String? = nil, joinKeys: [String: String] = [:]
    ) {
        self.view = view
        self.feature = feature
        self.version = version
        self.alias = alias
        self.joinKeys = joinKeys
    }

    /// `nil` if the text is no reference.
    public init?(_ text: String) {
        guard let (name, feature) = FeatureName.split(text) else { return nil }
        let (view, version) = FeatureName.versioned(name)
        self.init(view: view, feature: feature, version: version)
    }

    /// - Throws: `invalidArgument` in the words that Feast's clients know.
    public init(checking text: String) throws(AerieError) {
        guard let reference = FeatureReference(text) else {
            throw .invalid(
                "", "Invalid feature reference '\(text)'. Expected format: '<feature_view>:<feature>' "
                    + "or '<feature_view>@<version>:<feature>'")
        }
        self = reference
    }

    /// The name that stands before the feature's in results. A version is part of it: two may stand beside each other.
    public var outputView: String { (alias ?? view) + (version.map(FeatureName.suffix) ?? "") }

    public var description: String { "\(outputView):\(feature)" }
}

/// A view under another name, joined by other columns.
public struct FeatureProjection: Sendable, Hashable {
    public var view: String
    public var joinKeys: [String: String]

    public init(view: String, joinKeys: [String: String] = [:]) {
        self.view = view
        self.joinKeys = joinKeys
    }
}
