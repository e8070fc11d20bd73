import AerieCore
import AerieJSON
import Pipelines
import Testing

/// What every `PipelineRunStore` must keep of its contract.
enum PipelineRunConformance {
    static func sample(_ id: String, pipeline: String = "fraud", namespace: String = "default") -> PipelineRun {
        var step = StepRun(name: "train", uses: "train", needs: ["ingest"])
        step.artifacts = ["model": StepArtifact(path: "\(id)/train/1/model.txt", digest: "ab", bytes: 7)]
        step.values = ["auc": 0.97, "list": [1, 2]]
        step.metrics = [StepMetric(key: "loss", value: .infinity, step: 3)]
        step.params = ["trees": "100"]
        step.state = .succeeded
        return PipelineRun(
            id: id, namespace: namespace, pipeline: pipeline, spec: ["steps": []], parameters: ["rows": 10],
            startedBy: "ann", created: Timestamp(milliseconds: 5), experiment: "e",
            steps: [StepRun(name: "ingest", uses: "ingest", needs: []), step])
    }

    static let all: [PlatformConformance] = [
        .init("a run comes back as it was written") { stores in
            var run = sample("fraud-1")
            try await stores.pipelineRuns.create(run)
            run.state = .failed
            run.message = "why"
            run.trackingRun = "t"
            run.finished = Timestamp(milliseconds: 9)
            run.steps[0].state = .failed
            run.steps[0].retryAt = Timestamp(milliseconds: 8)
            try await stores.pipelineRuns.save(run, steps: ["ingest"])
            #expect(try await stores.pipelineRuns.run("fraud-1") == run)
        },
        .init("only the named steps are written") { stores in
            let store = stores.pipelineRuns
            var run = sample("fraud-1")
            try await store.create(run)
            run.steps[0].message = "no"
            run.steps[1].message = "yes"
            try await store.save(run, steps: ["train"])
            let read = try await store.run("fraud-1")
            #expect(read.steps.map(\.message) == ["", "yes"])
        },
        .init("old ended runs are retired with their cached results, unless a run that is not took from them") { stores in
            let store = stores.pipelineRuns
            for name in ["a", "b", "c", "d"] {
                var run = sample(name)
                if name == "d" { run.steps[1].cachedFrom = "a" }
                if name != "c" { run.state = .succeeded }
                try await store.create(run)
                let results = CachedStep(
                    runID: name, artifacts: [:], values: [:], params: [:], metrics: [], logged: [:])
                try await store.remember("key-\(name)", results, time: Timestamp(milliseconds: 1))
            }
            try await store.create(sample("other", pipeline: "other"))
            // `a` is used by `d`, `c` has not ended.
            #expect(try await store.retire(keeping: 1, limit: 10) == ["b"])
            #expect(try await store.retire(keeping: 1, limit: 10) == ["b"])
            #expect(try await store.cached("key-b") == nil)
            #expect(try await store.cached("key-a") != nil)
            try await store.retired(["b"])
            #expect(try await store.retire(keeping: 1, limit: 10) == [])
            try await store.retired(["d"])
            // Now nobody needs `a`, and `c` is the newest that has files.
            #expect(try await store.retire(keeping: 1, limit: 10) == ["a"])
        },
        .init("a second run of the same identifier is refused, an unknown one is not found") { stores in
            let store = stores.pipelineRuns
            try await store.create(sample("a"))
            let twice = await #expect(throws: AerieError.self) { try await store.create(sample("a")) }
            #expect(twice?.code == .alreadyExists)
            let missing = await #expect(throws: AerieError.self) { _ = try await store.run("b") }
            #expect(missing?.code == .notFound)
            let unsaved = await #expect(throws: AerieError.self) { try await store.save(sample("b"), steps: []) }
            #expect(unsaved?.code == .notFound)
        },
        .init("runs are listed newest first, by pipeline, namespace, state and page") { stores in
            let store = stores.pipelineRuns
            for index in 1...5 {
                var run = sample("r\(index)", pipeline: index.isMultiple(of: 2) ? "even" : "odd", namespace: index == 5 ? "other" : "default")
                try await store.create(run)
                if index == 3 {
                    run.state = .waiting
                    try await store.save(run, steps: [])
                }
            }
            #expect(try await store.runs(PipelineRunFilter()).map(\.id) == ["r5", "r4", "r3", "r2", "r1"])
            #expect(try await store.runs(PipelineRunFilter(pipeline: "even")).map(\.id) == ["r4", "r2"])
            #expect(try await store.runs(PipelineRunFilter(namespace: "other")).map(\.id) == ["r5"])
            #expect(try await store.runs(PipelineRunFilter(states: [.waiting])).map(\.id) == ["r3"])
            #expect(try await store.runs(PipelineRunFilter(before: "r4", limit: 2)).map(\.id) == ["r3", "r2"])
        },
        .init("decisions are kept, replaced and taken back; the newest cached results win") { stores in
            let store = stores.pipelineRuns
            let decision = StepDecision(isApproved: true, by: "bo", comment: "fine", time: Timestamp(milliseconds: 3))
            try await store.decide(run: "r", step: "s", decision)
            #expect(try await store.decision(run: "r", step: "s") == decision)
            try await store.decide(run: "r", step: "s", nil)
            #expect(try await store.decision(run: "r", step: "s") == nil)
            for id in ["one", "two"] {
                let step = CachedStep(
                    runID: id, artifacts: ["m": StepArtifact(path: "p", digest: "d", bytes: 1)], values: ["x": 1],
                    params: ["a": "b"], metrics: [StepMetric(key: "k", value: 0.5)], logged: ["model": "m"])
                try await store.remember("key", step, time: Timestamp(milliseconds: 1))
                #expect(try await store.cached("key") == step)
            }
            #expect(try await store.cached("other") == nil)
        },
    ]
}
