public import AerieCore

/// `view:feature`; `view/feature` is understood as well. A service may call the view otherwise and join it by other
/// columns, so that one view can be joined twice.
public struct FeatureReference: Sendable, Hashable, CustomStringConvertible {
    /// The view's own name.
    public var view: String
    public var feature: String
    /// What the view is called in results; `nil` for its own name.
    public var alias: String?
    /// Join key of the view -> column that has its values; only those that differ.
    public var joinKeys: [String: String] = [:]

    public init(view: String, feature: String, alias: String? = nil, joinKeys: [String: String] = [:]) {
        self.view = view
        self.feature = feature
        self.alias = alias
        self.joinKeys = joinKeys
    }

    /// `nil` if the text is no reference.
    public init?(_ text: String) {
        guard let (view, feature) = FeatureName.split(text) else { return nil }
        self.init(view: view, feature: feature)
    }

    /// - Throws: `invalidArgument` in the words that Feast's clients know.
    public init(checking text: String) throws(AerieError) {
        guard let reference = FeatureReference(text) else {
            throw .invalid(
                "", "Invalid feature reference '\(text)'. Expected format: '<feature_view>:<feature>'")
        }
        self = reference
    }

    /// The name that stands before the feature's in results.
    public var outputView: String { alias ?? view }

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
