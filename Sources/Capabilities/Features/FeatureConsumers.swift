public import AerieCore

/// Somebody who reads features.
public struct FeatureUser: Sendable, Hashable, Comparable, CustomStringConvertible {
    /// Such as `FeatureService`, `SeldonDeployment`, `ModelVersion` or `SavedDataset`.
    public var kind: String
    public var name: String
    /// Whether it breaks if the features go: a table that was saved does not, a model that is served does.
    public var isBound: Bool

    public init(kind: String, name: String, isBound: Bool = true) {
        self.kind = kind
        self.name = name
        self.isBound = isBound
    }

    public var description: String { "\(kind)/\(name)" }

    public static func < (left: FeatureUser, right: FeatureUser) -> Bool {
        (left.kind, left.name) < (right.kind, right.name)
    }
}

/// What outside of the feature store reads features: the executable knows deployments and models.
///
/// Contract: gives everybody who reads the service, or was learned from one of the features without a service, each
/// once, in any order.
public protocol FeatureConsumers: Sendable {
    func users(ofService name: String, namespace: String) async throws(AerieError) -> [FeatureUser]
    func users(of features: [FeatureReference], namespace: String) async throws(AerieError) -> [FeatureUser]
}
