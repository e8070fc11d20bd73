public import AerieCore
public import Experiments
public import Registry

/// How many of each there are to bring over.
public struct ImportCounts: Hashable, Sendable {
    public var experiments = 0
    public var runs = 0
    public var loggedModels = 0
    public var traces = 0
    public var registeredModels = 0
    public init() {}
}

/// A registered model with everything under its name.
public struct ImportedModel: Sendable {
    public var model: RegisteredModel
    public var versions: [ModelVersion]
    public init(model: RegisteredModel, versions: [ModelVersion]) {
        self.model = model
        self.versions = versions
    }
}

/// A file of the source's artifacts.
public struct ImportedFile: Hashable, Sendable {
    /// Below the location that was asked for.
    public var path: String
    public var size: Int64
    /// Where the source has it; for the source alone.
    public var place: String
    public init(path: String, size: Int64, place: String) {
        self.path = path
        self.size = size
        self.place = place
    }
}

/// Another tracking server's data, read and never written.
///
/// Contract: pages are ordered by identifier and begin after one; what they hold is complete (a run with its params,
/// tags, links and the whole history of its metrics). Identifiers, names, times and stages are the source's own.
/// Locations are as the source has them.
public protocol ImportSource: Sendable {
    func counts() async throws(AerieError) -> ImportCounts
    func experiments() async throws(AerieError) -> [Experiment]
    func runs(after: RunID?, limit: Int) async throws(AerieError) -> [Run]
    func loggedModels(after: LoggedModelID?, limit: Int) async throws(AerieError) -> [LoggedModel]
    func traces(after: TraceID?, limit: Int) async throws(AerieError) -> [Trace]
    func registeredModels() async throws(AerieError) -> [ImportedModel]
    /// The files below a location; `nil` if the source cannot reach it.
    func files(at location: String) async throws(AerieError) -> [ImportedFile]?
    /// Hands a file over in pieces.
    func read(
        _ file: ImportedFile,
        into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError)
}

/// What the other stores' verbs cannot say: a registered model as it was elsewhere.
public protocol ImportStore: Sendable {
    /// Writes the model with its versions, their numbers, stages, aliases and times, all or nothing.
    /// - Returns: false, and changes nothing, if there is a model of that name.
    func put(_ model: ImportedModel) async throws(AerieError) -> Bool
}
