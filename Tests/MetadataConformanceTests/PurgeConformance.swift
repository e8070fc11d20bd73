import AerieCore
import Experiments
import Registry
import Retention
import Testing

/// The promises of the port that deletes for good.
extension TrackingConformance {
    private static let all100 = PurgeSelection(deletedBefore: at(100))

    private static func ids(
        _ stores: TrackingStores, _ kind: PurgeKind, _ selection: PurgeSelection = all100
    ) async throws -> [String] {
        try await stores.purge.candidates(kind, selection, after: 0, limit: 10).map(\.id)
    }

    private static func purge(
        _ stores: TrackingStores, _ kind: PurgeKind, _ found: [PurgeCandidate]? = nil
    ) async throws -> Set<String> {
        let candidates = try await stores.purge.candidates(kind, all100, after: 0, limit: 10)
        return try await stores.purge.purge(kind, found ?? candidates, all100, at: at(200))
    }

    private static func trace(_ id: TraceID, in experiment: ExperimentID) -> Trace {
        Trace(id: id, experimentID: experiment, requestTime: at(1), state: .ok)
    }

    static let purges: [TrackingConformance] = [
        .init("runs are deleted for good with what hangs on them, by their own deletion, page by page") { stores in
            for id in ["r1", "r2", "r3", "r4"] as [RunID] { try await run(stores, id) }
            try await stores.runs.log([
                RunBatch(
                    runID: "r1", metrics: [Metric(key: "m", value: 1, timestamp: at(1), step: 0)],
                    params: [Param(key: "p", value: "1")], tags: [Tag(key: "t", value: "1")])
            ])
            for (id, time) in [("r1", 50), ("r2", 60), ("r3", 100)] as [(RunID, Int64)] {
                _ = try await stores.runs.update(id, RunChange(stage: .deleted), at: at(time))
            }
            #expect(try await ids(stores, .run) == ["r1", "r2"])
            let first = try await stores.purge.candidates(.run, all100, after: 0, limit: 1)
            let one = try #require(first.first)
            #expect(one.location == "mlflow-artifacts:/r1" && one.deletedTime == at(50) && one.experiment == "0")
            #expect(
                try await stores.purge.candidates(.run, all100, after: one.sequence, limit: 9).map(\.id) == ["r2"])
            #expect(try await ids(stores, .run, PurgeSelection(deletedBefore: at(999), runs: ["r3", "r4"])) == ["r3"])
            #expect(try await ids(stores, .run, PurgeSelection(deletedBefore: at(999), experiments: ["7"])).isEmpty)
            #expect(try await purge(stores, .run) == ["r1", "r2"])
            #expect(try await stores.runs.get(["r1", "r2", "r3", "r4"]).map(\.info.id) == ["r3", "r4"] as [RunID])
            let history = MetricHistoryQuery(runIDs: ["r1"], key: "m")
            #expect(await code { _ = try await stores.runs.history(history) } == .notFound)
            try await run(stores, "r1")
            let again = try #require(try await stores.runs.get(["r1"]).first)
            #expect(again.params.isEmpty && again.tags.isEmpty && again.metrics.isEmpty)
        },
        .init("what was restored meanwhile stays, and files are listed until they are forgotten") { stores in
            for id in ["r1", "r2"] as [RunID] {
                try await run(stores, id)
                _ = try await stores.runs.update(id, RunChange(stage: .deleted), at: at(50))
            }
            let found = try await stores.purge.candidates(.run, all100, after: 0, limit: 10)
            _ = try await stores.runs.update("r2", RunChange(stage: .active), at: at(60))
            #expect(try await purge(stores, .run, found) == ["r1"])
            let files = try await stores.purge.orphanedFiles(after: 0, limit: 10)
            #expect(files.map(\.owner) == ["r1"] && files.map(\.kind) == [.run])
            #expect(files.map(\.location) == ["mlflow-artifacts:/r1"])
            try await stores.purge.forget(files.map(\.sequence))
            #expect(try await stores.purge.orphanedFiles(after: 0, limit: 10).isEmpty)
        },
        .init("an experiment goes once nothing is in it, with its models and traces before it") { stores in
            let made = try await experiment(stores)
            try await run(stores, "r1", in: made.id)
            let model = LoggedModel(
                id: "m-1", experimentID: made.id, name: "m", artifactURI: "mlflow-artifacts:/e/m-1",
                creationTime: at(1), lastUpdateTime: at(1))
            try await stores.models.create(model)
            try await stores.traces.put(trace("tr-1", in: made.id))
            try await stores.traces.put(trace("tr-0", in: "0"))
            for kind in PurgeKind.allCases { #expect(try await ids(stores, kind).isEmpty) }
            try await stores.experiments.update(made.id, ExperimentChange(stage: .deleted), at: at(50))
            #expect(try await purge(stores, .experiment).isEmpty)
            #expect(try await purge(stores, .run) == ["r1"])
            #expect(try await purge(stores, .loggedModel) == ["m-1"])
            #expect(try await purge(stores, .trace) == ["tr-1"])
            #expect(try await purge(stores, .experiment) == [made.id.text])
            #expect(try await stores.experiments.get([made.id]).isEmpty)
            #expect(try await stores.traces.get(["tr-0", "tr-1"]).map(\.id) == ["tr-0"])
            let kinds = try await stores.purge.orphanedFiles(after: 0, limit: 10).map(\.kind)
            #expect(kinds == [.run, .loggedModel, .experiment])
        },
        .init("files that something live refers to have a holder") { stores in
            try await run(stores, "r1")
            try await stores.registry.create(RegisteredModel(name: "m", creationTime: at(1), lastUpdateTime: at(1)))
            _ = try await stores.versions.create(
                ModelVersion(
                    name: "m", version: 0, creationTime: at(1), lastUpdateTime: at(1), source: "s",
                    location: "mlflow-artifacts:/x/model", status: .ready))
            func files(_ location: String, _ kind: PurgeKind = .run) -> OrphanedFiles {
                OrphanedFiles(sequence: 0, kind: kind, owner: "gone", location: location)
            }
            let asked = [
                files("mlflow-artifacts:/x"), files("mlflow-artifacts:/x/model/sub"), files("mlflow-artifacts:/x/mod"),
            ]
            let held = try await stores.purge.holders(of: asked, onlyVersions: true)
            #expect(
                held == ["mlflow-artifacts:/x": "models:/m/1", "mlflow-artifacts:/x/model/sub": "models:/m/1"])
            let places = [files("mlflow-artifacts:/r", .experiment)]
            #expect(try await stores.purge.holders(of: places, onlyVersions: false).isEmpty)
            let run = [files("mlflow-artifacts:/r1", .experiment)]
            #expect(
                try await stores.purge.holders(of: run, onlyVersions: false) == ["mlflow-artifacts:/r1": "run r1"])
            #expect(try await stores.purge.holders(of: run, onlyVersions: true).isEmpty)
        },
    ]
}
