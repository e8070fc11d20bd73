public import AerieCore
public import Experiments
public import Registry

/// How many of each there are to bring over, as far as the source can tell without reading all of it.
public struct ImportCounts: Hashable, Sendable {
    public var experiments = 0
    public var runs: Int?
    public var loggedModels: Int?
    public var traces: Int?
    public var registeredModels: Int?
    public init() {}
}

/// Some of what a source has, and where the next begins.
public struct ImportPage<Element: Sendable>: Sendable {
    public var elements: [Element]
    /// For the source alone; `nil` at the end.
    public var next: String?
    public init(_ elements: [Element] = [], next: String? = nil) {
        self.elements = elements
        self.next = next
    }
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

/// A trace with its spans, as far as they are not a file, and what it is linked to.
public struct ImportedTrace: Sendable {
    public var trace: Trace
    public var spans: [Span]
    public var runs: [String]
    /// As `name/version`.
    public var prompts: [String]
    public init(_ trace: Trace, spans: [Span] = [], runs: [String] = [], prompts: [String] = []) {
        self.trace = trace
        self.spans = spans
        self.runs = runs
        self.prompts = prompts
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
/// Contract: the pages of one kind, each begun where the one before says, give everything that was there when the first
/// was asked for, maybe some of it twice. Identifiers, names, times and stages are the source's own. Locations are as
/// the source has them. Runs come with their params, tags, links and latest metrics, traces without spans; `completed`
/// adds what takes longer, and is asked for what is new only.
public protocol ImportSource: Sendable {
    func counts() async throws(AerieError) -> ImportCounts
    func experiments() async throws(AerieError) -> [Experiment]
    func runs(after: String?, limit: Int) async throws(AerieError) -> ImportPage<Run>
    /// The same runs with the whole history of every metric in the place of its latest value.
    func completed(_ runs: [Run]) async throws(AerieError) -> [Run]
    func loggedModels(after: String?, limit: Int) async throws(AerieError) -> ImportPage<LoggedModel>
    func traces(after: String?, limit: Int) async throws(AerieError) -> ImportPage<Trace>
    /// The same traces with their assessments, spans and links.
    func completed(_ traces: [Trace]) async throws(AerieError) -> [ImportedTrace]
    func registeredModels() async throws(AerieError) -> [ImportedModel]
    /// The files below a location; `nil` if the source cannot reach it.
    func files(at location: String) async throws(AerieError) -> [ImportedFile]?
    /// Hands a file over in pieces; one that breaks off may be begun anew, with another call of `body`.
    /// - Throws: `dataLoss` for a file that cannot be had, so that it is left out; anything else ends the import.
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
