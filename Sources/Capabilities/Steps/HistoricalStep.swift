public import AerieCore
import AerieJSON
public import AerieResources
public import Features
public import Pipelines

/// `uses: historical`: joins features of the feature store to rows as they were known at each row's time.
///
/// `entityRows` is a table (Parquet or CSV), or `end`, with or without `start`, stands for every entity as it was known
/// then; `service` names a feature service, or `features` a list of `view:feature`. Further are `timestamp`,
/// `fullFeatureNames`, `namespace` (`default`), and `save`, which keeps the table as the next version of a dataset of
/// that name. Outputs: `table` (Parquet), `rows`, `columns`, `dataset` (`name/version`, what a model's tag
/// `aerie.dev/dataset` takes; empty if nothing is saved).
public struct HistoricalStep: Step {
    /// Where features come from.
    public struct Source: Sendable {
        public var store: FeatureStore
        public var datasets: SavedDatasets

        public init(store: FeatureStore, datasets: SavedDatasets) {
            self.store = store
            self.datasets = datasets
        }
    }

    private let source: @Sendable () -> Source?

    /// - Parameter source: asked when the step runs; `nil` outside of the server.
    public init(source: @escaping @Sendable () -> Source?) { self.source = source }

    public var name: String { "historical" }
    public var outputs: [String] { ["table", "rows", "columns", "dataset"] }
    public var placement: StepPlacement { .server }
    public var isCacheable: Bool { false }
    public var parameters: FieldSchema {
        .object([
            Field("entityRows", .string), Field("start", .string), Field("end", .string), Field("service", .string),
            Field("features", .array(.string)), Field("timestamp", .string), Field("fullFeatureNames", .bool),
            Field("namespace", .string), Field("save", .string),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        guard let source = source() else {
            throw AerieError(.internal, "features are joined in the server, and the step was started without it")
        }
        let request = try Self.request(input, output: context.workDirectory + "/table.parquet")
        let namespace = try input.text("namespace") ?? "default"
        let name = try input.text("save")
        let progress = context.progress
        let retrieve = { (request: HistoricalRequest) async throws(AerieError) -> HistoricalResult in
            try await source.store.historical(request, namespace: namespace) { now in
                progress(now.share * 0.95, now.view.map { "joining \($0)" } ?? "reading and writing rows")
            }
        }
        let result: HistoricalResult
        var dataset = ""
        if let name {
            let actor = "pipeline \(context.pipeline)"
            let made = try await source.datasets.make(
                name, request, namespace: namespace, actor: actor, retrieve: retrieve)
            (result, dataset) = (made.result, made.saved.title)
            context.log("saved as dataset \(dataset)")
        } else {
            result = try await retrieve(request)
        }
        context.log("\(result.rows) rows with \(result.references.map(\.description).joined(separator: ", "))")
        return StepResult(
            artifacts: ["table": "table.parquet"],
            values: [
                "rows": .int(result.rows), "columns": .array(result.columns.map(JSONValue.string)),
                "dataset": .string(dataset),
            ])
    }

    private static func request(_ input: StepInput, output: String) throws(AerieError) -> HistoricalRequest {
        let features = try input.texts("features") ?? []
        let service = try input.text("service")
        guard features.isEmpty != (service == nil) else {
            throw input.wrong("service", "or features is required, and not both")
        }
        let (rows, end) = (try input.text("entityRows"), try moment(input, "end"))
        let given: HistoricalRequest.Rows
        switch (rows, end) {
        case (let path?, nil):
            let format = try TableSource.format(path: path, field: "with.entityRows")
            given = .file(path, format)
        case (nil, let end?): given = .range(start: try moment(input, "start"), end: end)
        default: throw input.wrong("entityRows", "or end is required, and not both")
        }
        return HistoricalRequest(
            selection: .init(
                references: features, service: service,
                usesFullNames: try input.flag("fullFeatureNames", default: false)),
            rows: given, timestamp: try input.text("timestamp"), output: output, outputFormat: .parquet)
    }

    private static func moment(_ input: StepInput, _ name: String) throws(AerieError) -> Int64? {
        guard let text = try input.text(name) else { return nil }
        guard let micros = FeatureTime.parse(text) else {
            throw input.wrong(name, "'\(text)' is no moment; write 2026-01-31T12:00:00Z")
        }
        return micros
    }
}

extension TableSource {
    fileprivate static func format(path: String, field: String) throws(AerieError) -> HistoricalRequest.Format {
        let lower = path.lowercased()
        if lower.hasSuffix(".parquet") { return .parquet }
        if lower.hasSuffix(".csv") { return .csv }
        throw .invalid(field, "'\(path)' is neither CSV (.csv) nor Parquet (.parquet)")
    }
}
