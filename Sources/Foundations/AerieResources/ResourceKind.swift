public import AerieCore
public import AerieJSON

/// A kind of resource: its names, the shape of its `spec`, and the rules that a shape cannot express.
///
/// Pure: no I/O. Each capability declares its kinds; the executable gives the list to the resource service.
public protocol ResourceKind: Sendable {
    /// As written in `kind:`, such as `SeldonDeployment`.
    var name: String { get }
    /// Every `apiVersion` that is accepted; the first is the one that is written back.
    var apiVersions: [String] { get }
    /// Lowercase names for the command line: singular, plural and short ones (`seldondeployment`, `sdep`).
    var aliases: [String] { get }
    /// The shape of `spec`.
    var schema: FieldSchema { get }
    /// Columns of `aerie get` between NAME and AGE, and where their values stand in the object, as paths such as
    /// `status.state`.
    var columns: [(title: String, path: String)] { get }

    /// Where `spec` names files, each by its keys from `spec` on (`["source", "path"]`; `*` is any key): a relative one
    /// counts from the folder of its manifest, where that is told.
    var filePaths: [[String]] { get }

    /// Whether names and namespaces may hold `_` and capitals, as Feast's do; else they follow Kubernetes' rule.
    var allowsUnderscores: Bool { get }

    /// What is wrong beyond the shape, every problem with its path from the root (`spec.predictors[1].traffic`).
    /// Only called for a spec of the right shape.
    func validate(_ resource: Resource) -> [AerieError.Detail]
    /// What the user should know though it is accepted, beyond the fields that the schema marks.
    func warnings(_ resource: Resource) -> [String]
}

extension ResourceKind {
    public func validate(_ resource: Resource) -> [AerieError.Detail] { [] }
    public func warnings(_ resource: Resource) -> [String] { [] }
    public var columns: [(title: String, path: String)] { [] }
    public var allowsUnderscores: Bool { false }
    public var filePaths: [[String]] { [] }
}

/// Brings the world to what a resource of one kind says, and tells in `status` how far that is.
///
/// Contract: called for one object at a time, again after each change of its `spec`, after a restart and after
/// `requeueAfter`; several objects may be reconciled at once. Must be idempotent: the same object twice does nothing
/// the second time. A thrown error is written as the condition `Ready=False` with its message, and retried with a
/// growing pause (1 s to 60 s).
public protocol Reconciler: Sendable {
    var kind: String { get }
    func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation
    /// The object has been deleted: take down what it stood for. Also idempotent.
    func removed(_ resource: Resource) async throws(AerieError)
}

/// How far a reconciliation came.
public struct Reconciliation: Sendable {
    /// The new status; the resource service adds `observedGeneration` and `conditions` if they are not there.
    public var status: JSONObject
    /// Whether members that are not in `status` stay, as others than the reconciler write them.
    public var keepsRest: Bool
    /// Look again after this time though nothing has changed; `nil` for not.
    public var requeueAfter: Duration?

    public init(status: JSONObject, keepsRest: Bool = false, requeueAfter: Duration? = nil) {
        self.status = status
        self.keepsRest = keepsRest
        self.requeueAfter = requeueAfter
    }
}
