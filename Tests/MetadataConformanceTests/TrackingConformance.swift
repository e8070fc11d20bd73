import AerieCore
import Experiments
import Features
import Registry
import Retention
import Testing

/// The stores of one backend, fresh.
struct TrackingStores: Sendable {
    var experiments: any ExperimentStore
    var runs: any RunStore
    var models: any LoggedModelStore
    var registry: any RegistryStore
    var versions: any ModelVersionStore
    var traces: any TraceStore & TraceMeasureStore
    var purge: any PurgeStore
    var definitions: any DefinitionDocumentStore
}

/// The promises of the tracking and registry ports, one check each, for any backend.
struct TrackingConformance: Sendable, CustomTestStringConvertible {
    let name: String
    let body: @Sendable (TrackingStores) async throws -> Void
    var testDescription: String { name }

    init(_ name: String, _ body: @escaping @Sendable (TrackingStores) async throws -> Void) {
        self.name = name
        self.body = body
    }

    static let all =
        experiments + runs + registry + traces + traceSearches + modelOrders + SearchConformance.all + purges
        + definitions
    static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    static func experiment(_ stores: TrackingStores, _ name: String = "e") async throws -> Experiment {
        try await stores.experiments.create(
            ExperimentDraft(
                name: name, artifactLocation: nil, artifactRoot: "mlflow-artifacts:", time: at(1),
                tags: []))
    }

    static func run(
        _ stores: TrackingStores, _ id: RunID, in experiment: ExperimentID = "0", start: Int64 = 1
    ) async throws {
        let info = RunInfo(
            id: id, experimentID: experiment, name: id.text, userID: "u", startTime: at(start),
            artifactURI: "mlflow-artifacts:/\(id)")
        try await stores.runs.create([Run(info: info)])
    }

    static func code(_ body: () async throws -> Void) async -> AerieError.Code? {
        do { try await body() } catch { return (error as? AerieError)?.code }
        return nil
    }

    static let experiments: [TrackingConformance] = [
        .init("the default experiment is there, and identifiers count up") { stores in
            #expect(try await stores.experiments.get(["0"]).first?.name == "Default")
            let first = try await experiment(stores, "a")
            let second = try await experiment(stores, "b")
            #expect(Int(first.id.text)! < Int(second.id.text)!)
            #expect(first.artifactLocation == "mlflow-artifacts:/\(first.id)")
        },
        .init("a name is taken also while its experiment is deleted") { stores in
            let made = try await experiment(stores)
            try await stores.experiments.update(made.id, ExperimentChange(stage: .deleted), at: at(2))
            #expect(await code { _ = try await experiment(stores) } == .alreadyExists)
        },
        .init("deleting takes the active runs along, restoring brings just those back") { stores in
            let made = try await experiment(stores)
            try await run(stores, "r1", in: made.id)
            try await run(stores, "r2", in: made.id)
            _ = try await stores.runs.update("r1", RunChange(stage: .deleted), at: at(2))
            try await stores.experiments.update(made.id, ExperimentChange(stage: .deleted), at: at(3))
            #expect(try await stores.runs.get(["r1", "r2"]).map(\.info.stage) == [.deleted, .deleted])
            let again = ExperimentChange(stage: .deleted)
            #expect(await code { try await stores.experiments.update(made.id, again, at: at(3)) } == .notFound)
            try await stores.experiments.update(made.id, ExperimentChange(stage: .active), at: at(4))
            #expect(try await stores.runs.get(["r1", "r2"]).map(\.info.stage) == [.deleted, .active])
        },
        .init("deleting a tag that is not there is notFound") { stores in
            #expect(
                await code {
                    try await stores.experiments.update(
                        "0", ExperimentChange(deleteTags: ["x"]),
                        at: at(1))
                } == .notFound)
        },
    ]

    static let runs: [TrackingConformance] = [
        .init("the latest metric is the greatest by step, time and value; duplicates are kept once; NaN stays") {
            stores in
            try await run(stores, "r")
            let values: [(Double, Int64, Int64)] = [(1, 10, 2), (5, 99, 1), (2, 10, 2), (2, 10, 2), (.nan, 10, -3)]
            for (value, time, step) in values {
                try await stores.runs.log([
                    RunBatch(
                        runID: "r",
                        metrics: [
                            Metric(
                                key: "m", value: value,
                                timestamp: at(time), step: step)
                        ])
                ])
            }
            #expect(try await stores.runs.get(["r"]).first?.metrics.first?.value == 2)
            let history = try await stores.runs.history(MetricHistoryQuery(runIDs: ["r"], key: "m")).map(\.1)
            #expect(history.map(\.step) == [-3, 1, 2, 2] && history[0].value.isNaN)
            #expect(try await stores.runs.history(MetricHistoryQuery(runIDs: ["r"], key: "none")).isEmpty)
        },
        .init("NaN differs from every number and is neither above nor below one") { stores in
            for (id, value) in [("r0", 0), ("r1", 1), ("r2", Double.nan)] {
                try await run(stores, RunID(id))
                let metric = Metric(key: "m", value: value, timestamp: at(1))
                try await stores.runs.log([RunBatch(runID: RunID(id), metrics: [metric])])
            }
            typealias Expected = (SearchCondition.Operator, Double, [String])
            for (comparison, number, ids) in [
                (.notEqual, 0, ["r1", "r2"]), (.notEqual, 1, ["r0", "r2"]), (.equal, 0, ["r0"]), (.less, 1, ["r0"]),
                (.greaterOrEqual, 0, ["r0", "r1"]),
            ] as [Expected] {
                let condition = SearchCondition(SearchField(.metric, "m"), comparison, .number(number))
                let found = try await stores.runs.search(SearchQuery(experimentIDs: ["0"], conditions: [condition]))
                #expect(found.elements.map(\.info.id.text) == ids, "\(comparison) \(number)")
            }
        },
        .init("a parameter does not change, and its batch is not written") { stores in
            try await run(stores, "r")
            let first = RunBatch(runID: "r", params: [Param(key: "p", value: "1")])
            try await stores.runs.log([first])
            try await stores.runs.log([first])
            let second = RunBatch(
                runID: "r", metrics: [Metric(key: "m", value: 1, timestamp: at(1))],
                params: [Param(key: "new", value: "1"), Param(key: "p", value: "2")])
            #expect(await code { try await stores.runs.log([second]) } == .invalidArgument)
            let run = try await stores.runs.get(["r"])[0]
            #expect(run.params == [Param(key: "p", value: "1")] && run.metrics.isEmpty)
        },
        .init("logging to a deleted run is failedPrecondition, to none notFound") { stores in
            try await run(stores, "r")
            _ = try await stores.runs.update("r", RunChange(stage: .deleted), at: at(2))
            let batch = RunBatch(runID: "r", tags: [Tag(key: "a", value: "b")])
            #expect(await code { try await stores.runs.log([batch]) } == .failedPrecondition)
            #expect(await code { try await stores.runs.log([RunBatch(runID: "none")]) } == .notFound)
        },
        .init("the name and its tag are one") { stores in
            try await run(stores, "r")
            try await stores.runs.log([RunBatch(runID: "r", tags: [Tag(key: "mlflow.runName", value: "x")])])
            #expect(try await stores.runs.get(["r"])[0].info.name == "x")
            _ = try await stores.runs.update("r", RunChange(name: "y"), at: at(2))
            #expect(try await stores.runs.get(["r"])[0].tags == [Tag(key: "mlflow.runName", value: "y")])
        },
        .init("pages hold every row once while rows are added, missing values come last both ways") { stores in
            for index in 0..<7 { try await run(stores, RunID("r\(index)"), start: Int64(index)) }
            try await stores.runs.log(
                (0..<3).map { index in
                    RunBatch(
                        runID: RunID("r\(index)"), metrics: [Metric(key: "m", value: Double(index), timestamp: at(1))])
                })
            for ascending in [true, false] {
                var seen: [String] = []
                var position: PagePosition?
                repeat {
                    let page = try await stores.runs.search(
                        SearchQuery(
                            experimentIDs: ["0"], order: [SearchOrder(SearchField(.metric, "m"), ascending: ascending)],
                            limit: 2,
                            position: position))
                    seen += page.elements.map(\.info.id.text)
                    position = page.next
                    try await run(stores, RunID("late\(ascending)\(seen.count)"), start: 100)
                } while position != nil
                let late = seen.filter { $0.hasPrefix("late") }
                #expect(Array(seen.prefix(3)) == (ascending ? ["r0", "r1", "r2"] : ["r2", "r1", "r0"]))
                #expect(seen.count == Set(seen).count && seen.count == (ascending ? 7 : 7 + late.count))
            }
        },
    ]

    static let registry: [TrackingConformance] = [
        .init("version numbers are never used again, and archiving is noted") { stores in
            try await stores.registry.create(RegisteredModel(name: "m", creationTime: at(1), lastUpdateTime: at(1)))
            func version() async throws -> ModelVersion {
                try await stores.versions.create(
                    ModelVersion(
                        name: "m", version: 0, creationTime: at(2), lastUpdateTime: at(2), source: "s", location: "l"))
            }
            #expect(try await [version().version, version().version] == [1, 2])
            try await stores.versions.delete(ModelVersionKey("m", 2), at: at(3))
            #expect(try await version().version == 3)
            for number in [1, 3] {
                _ = try await stores.versions.transition(
                    ModelVersionKey("m", number), to: .production, archivingOthers: true, actor: "ada",
                    at: at(Int64(number)))
            }
            let history = try await stores.versions.transitions("m", version: 1, limit: 10)
            #expect(history.map(\.to) == [.archived, .production] && history.allSatisfy { $0.actor == "ada" })
            #expect(try await stores.versions.latest("m", stages: [.production]).map(\.version) == [3])
        },
        .init("an alias needs its version, moves, and goes with it") { stores in
            try await stores.registry.create(RegisteredModel(name: "m", creationTime: at(1), lastUpdateTime: at(1)))
            let change = RegisteredModelChange(setAliases: [ModelAlias(alias: "best", version: 1)])
            #expect(await code { _ = try await stores.registry.update("m", change, at: at(2)) } == .notFound)
            _ = try await stores.versions.create(
                ModelVersion(
                    name: "m", version: 0, creationTime: at(2), lastUpdateTime: at(2), source: "s", location: "l"))
            #expect(
                try await stores.registry.update("m", change, at: at(2)).aliases == [
                    ModelAlias(
                        alias: "best",
                        version: 1)
                ])
            try await stores.versions.delete(ModelVersionKey("m", 1), at: at(3))
            #expect(try await stores.registry.get(["m"])[0].aliases.isEmpty)
        },
        .init("names are unique, renaming keeps versions, deleting is once") { stores in
            let model = RegisteredModel(name: "m", creationTime: at(1), lastUpdateTime: at(1))
            try await stores.registry.create(model)
            #expect(await code { try await stores.registry.create(model) } == .alreadyExists)
            #expect(try await stores.registry.update("m", RegisteredModelChange(newName: "n"), at: at(2)).name == "n")
            try await stores.registry.delete("n")
            #expect(await code { try await stores.registry.delete("n") } == .notFound)
        },
    ]
}
