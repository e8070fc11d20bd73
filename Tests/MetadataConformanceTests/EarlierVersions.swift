import AerieCore
import AerieJSON
import AerieResources
import Experiments
import Pipelines
import Registry
import Retention
import Serving
import Testing
import Webhooks

/// What an earlier version left in the database, written as that version wrote it, and how it must read today.
struct EarlierRows: Sendable {
    let statements: [String]
    let check: @Sendable (TrackingStores, PlatformStores) async throws -> Void

    private init(
        _ statements: [String], check: @escaping @Sendable (TrackingStores, PlatformStores) async throws -> Void
    ) {
        self.statements = statements
        self.check = check
    }

    private static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    static func experiments(_ metrics: [String]) -> EarlierRows {
        let runs = "INSERT INTO runs (seq, id, experiment, name, user_id, status, start_time, end_time, artifact_uri, "
            + "stage, deleted_time) VALUES "
        return EarlierRows(
            [
                "INSERT INTO experiments (id, name, artifact_location, stage, creation_time, last_update_time) "
                    + "VALUES (7, 'old', 'mlflow-artifacts:/7', 'active', 10, 11)",
                "INSERT INTO experiment_tags (owner, key, value) VALUES (7, 'team', 'risk')",
                runs + "(101, 'r1', 7, 'first', 'ann', 'FINISHED', 20, 30, 'mlflow-artifacts:/7/r1', 'active', NULL)",
                runs + "(102, 'r2', 7, 'gone', 'bob', 'FAILED', 21, 31, 'mlflow-artifacts:/7/r2', 'deleted', 40)",
                "INSERT INTO run_params (owner, key, value) VALUES (101, 'depth', '6'), (102, 'depth', '7')",
                "INSERT INTO run_tags (owner, key, value) VALUES (101, 'mlflow.runName', 'first')",
                "INSERT INTO datasets (seq, experiment, name, digest, source_type, source, schema, profile) "
                    + "VALUES (5, 7, 'train', 'abc', 'local', '/x', '{}', NULL)",
                "INSERT INTO run_datasets (run, dataset) VALUES (101, 5)",
                "INSERT INTO run_dataset_tags (run, dataset, key, value) "
                    + "VALUES (101, 5, 'mlflow.data.context', 'training')",
                "INSERT INTO run_models (run, is_output, model_id, step) VALUES (101, 1, 'm-1', 3)",
                "INSERT INTO logged_models (seq, id, experiment, name, model_type, source_run_id, artifact_uri, status, "
                    + "creation_time, last_update_time) VALUES (9, 'm-1', 7, 'model', 'tree', 'r1', "
                    + "'mlflow-artifacts:/7/models/m-1', 'LOGGED_MODEL_READY', 22, 23)",
                "INSERT INTO logged_model_params (owner, key, value) VALUES (9, 'trees', '100')",
                "INSERT INTO logged_model_tags (owner, key, value) VALUES (9, 'kind', 'x')",
                "INSERT INTO logged_model_metrics (owner, key, run_id, dataset_name, dataset_digest, step, timestamp, "
                    + "value, is_nan) VALUES (9, 'auc', 'r1', 'train', 'abc', 1, 24, 0.75, 0)",
            ] + metrics
        ) { stores, _ in
            let experiment = try #require(try await stores.experiments.get(["7"]).first)
            #expect(experiment.name == "old" && experiment.tags == [Tag(key: "team", value: "risk")])
            #expect(experiment.creationTime == at(10) && experiment.lastUpdateTime == at(11))
            let found = try await stores.runs.get(["r1", "r2"])
            let (first, gone) = (try #require(found.first), try #require(found.last))
            #expect(first.info.name == "first" && first.info.endTime == at(30) && first.info.status == .finished)
            #expect(first.params == [Param(key: "depth", value: "6")] && gone.info.stage == .deleted)
            #expect(first.tags == [Tag(key: "mlflow.runName", value: "first")])
            #expect(first.datasets.map(\.digest) == ["abc"] && first.modelOutputs.map(\.step) == [3])
            #expect(first.datasets.first?.tags == [Tag(key: "mlflow.data.context", value: "training")])
            let latest = Dictionary(uniqueKeysWithValues: first.metrics.map { ($0.key, $0) })
            #expect(latest["auc"]?.value == 0.5 && latest["auc"]?.step == 2 && latest["odd"]?.value.isNaN == true)
            let history = try await stores.runs.history(MetricHistoryQuery(runIDs: ["r1"], key: "auc")).map(\.1)
            #expect(history.map(\.step) == [0, 1, 2] && history.map(\.value) == [0.25, 0.125, 0.5])
            #expect(history.map(\.timestamp) == [at(100), at(101), at(102)] && history[1].modelID == "m-1")
            let model = try #require(try await stores.models.get(["m-1"]).first)
            #expect(model.status == .ready && model.params.map(\.value) == ["100"] && model.tags.map(\.value) == ["x"])
            #expect(model.metrics.map(\.metric.value) == [0.75] && model.sourceRunID == "r1")
        }
    }

    /// A row a point, as it was before the log of metrics.
    static let points = [
        "INSERT INTO metrics (owner, key, step, timestamp, value, is_nan, model_id) VALUES "
            + "(101, 'auc', 0, 100, 0.25, 0, NULL), (101, 'auc', 1, 101, 0.125, 0, 'm-1'), "
            + "(101, 'auc', 2, 102, 0.5, 0, NULL), (101, 'odd', 0, 100, 0, 1, NULL)",
        "INSERT INTO latest_metrics (owner, key, step, timestamp, value, is_nan) VALUES "
            + "(101, 'auc', 2, 102, 0.5, 0), (101, 'odd', 0, 100, 0, 1)",
    ]

    static let registry = EarlierRows([
        "INSERT INTO registered_models (seq, name, description, creation_time, last_update_time, last_version) "
            + "VALUES (3, 'scorer', 'scores', 50, 51, 4)",
        "INSERT INTO registered_model_tags (owner, key, value) VALUES (3, 'team', 'risk')",
        "INSERT INTO model_versions (seq, model, version, creation_time, last_update_time, user_id, stage, description, "
            + "source, location, run_id, run_link, model_id, status) VALUES (6, 3, 2, 52, 53, 'ann', 'Production', 'd', "
            + "'runs:/r1/model', 'mlflow-artifacts:/7/r1/model', 'r1', '', NULL, 'READY')",
        "INSERT INTO model_version_tags (owner, key, value) VALUES (6, 'reviewed', 'yes')",
        "INSERT INTO model_aliases (model, alias, version) VALUES (3, 'Best', 2)",
        "INSERT INTO stage_transitions (model, version, from_stage, to_stage, actor, time) "
            + "VALUES ('scorer', 2, 'None', 'Production', 'ann', 53)",
    ]) { stores, _ in
        let model = try #require(try await stores.registry.get(["scorer"]).first)
        #expect(model.description == "scores" && model.tags == [Tag(key: "team", value: "risk")])
        #expect(model.aliases == [ModelAlias(alias: "Best", version: 2)])
        let key = ModelVersionKey("scorer", 2)
        let version = try #require(try await stores.versions.get([key]).first)
        #expect(version.stage == .production && version.runID == "r1" && version.tags.map(\.value) == ["yes"])
        let moves = try await stores.versions.transitions("scorer", version: 2, limit: 9)
        #expect(moves.map(\.to) == [.production] && moves.map(\.actor) == ["ann"] && moves.map(\.time) == [at(53)])
        // Numbers that were given out are not given out again.
        let next = try await stores.versions.create(
            ModelVersion(
                name: "scorer", version: 0, creationTime: at(60), lastUpdateTime: at(60), source: "s", location: "l",
                status: .ready))
        #expect(next.version == 5)
    }

    static let traces = EarlierRows([
        "INSERT INTO traces (seq, id, experiment, request_time, duration, state, client_request_id, request_preview, "
            + "response_preview) VALUES (4, 'tr-1', 7, 70, 8, 'OK', 'c-1', 'in', 'out')",
        "INSERT INTO trace_tags (owner, key, value) VALUES (4, 'mlflow.traceName', 'call')",
        "INSERT INTO trace_metadata (owner, key, value) VALUES (4, 'mlflow.sourceRun', 'r1')",
    ]) { stores, _ in
        let trace = try #require(try await stores.traces.get(["tr-1"]).first)
        #expect(trace.duration == 8 && trace.state == .ok && trace.requestPreview == "in")
        #expect(trace.tags.map(\.value) == ["call"] && trace.metadata.map(\.value) == ["r1"])
    }

    static func traceParts(valid: String) -> EarlierRows {
        EarlierRows([
            "INSERT INTO trace_spans (owner, id, parent, name, kind, start_time, end_time, state, size, content) "
                + "VALUES (4, '00000000000000aa', NULL, 'root', 'LLM', 700, 800, 'OK', 2, '{}')",
            "INSERT INTO trace_links (owner, kind, target) VALUES (4, 'run', 'r1')",
            "INSERT INTO trace_assessments (id, owner, name, creation_time, last_update_time, overrides, is_valid, "
                + "content) VALUES ('a-1', 4, 'good', 71, 72, NULL, \(valid), '{\"feedback\":{\"value\":true}}')",
        ]) { stores, _ in
            let spans = try #require(try await stores.traces.spans(of: ["tr-1"])["tr-1"])
            #expect(spans.map(\.name) == ["root"] && spans.map(\.kind) == ["LLM"] && spans.map(\.end) == [800])
            #expect(try await stores.traces.links(of: "tr-1", .run) == ["r1"])
            let assessment = try #require(try await stores.traces.get(["tr-1"]).first?.assessments.first)
            #expect(assessment.name == "good" && assessment.isValid)
            #expect(assessment.content["feedback"]?["value"] == true)
        }
    }

    /// What is asked of assessments is kept beside their content, also of those that were there before.
    static let traceFacts = EarlierRows([]) { stores, _ in
        let conditions = try SearchParser.conditions("feedback.good = 'true'", subject: .traces)
        let page = try await stores.traces.search(SearchQuery(experimentIDs: ["7"], conditions: conditions))
        #expect(page.elements.map(\.id) == ["tr-1"])
    }

    private static let widget: Resource = {
        var widget = ResourceConformance.widget("a", 3)
        widget.metadata.uid = "u-1"
        widget.metadata.resourceVersion = 2
        widget.metadata.generation = 2
        widget.metadata.created = at(1_700_000_000_123)
        return widget
    }()

    static func resources(_ more: [String] = []) -> EarlierRows {
        let body = widget.json.text()
        let entry = ResourceAuditEntry(
            sequence: 1, time: at(80), actor: "ann", action: "create", key: widget.key, generation: 2,
            declaration: widget.declaration)
        let told = widget.declaration.text()
        let hash = ResourceAuditChain.hash(entry, body: told, previous: ResourceAuditChain.start)
        return EarlierRows(
            [
                "INSERT INTO resource (kind, namespace, name, uid, version, body, created) "
                    + "VALUES ('Widget', 'default', 'a', 'u-1', 2, '\(body)', 1700000000123)",
                "INSERT INTO resource_event (sequence, change, body, created) "
                    + "VALUES (2, 'MODIFIED', '\(body)', 1700000000123)",
                "INSERT INTO resource_audit (sequence, time, actor, action, kind, namespace, name, generation, body, hash)"
                    + " VALUES (1, 80, 'ann', 'create', 'Widget', 'default', 'a', 2, '\(told)', '\(hash)')",
            ] + more
        ) { _, stores in
            #expect(try await stores.resources.get(widget.key) == widget)
            #expect(try await stores.resources.events(after: 1, limit: 9).map(\.sequence) == [2])
            #expect(try await stores.verifyAudit() == 1)
            let next = try await stores.resources.put(ResourceConformance.widget("a", 4), expecting: 2, actor: "bo")
            #expect(next.metadata.resourceVersion == 3 && next.metadata.generation == 3)
            #expect(try await stores.verifyAudit() == 2)
        }
    }

    private static let pipelineRuns: [PipelineRun] = ["p-1", "p-2"].map { id in
        var run = PipelineRunConformance.sample(id)
        run.state = .succeeded
        if id == "p-2" { run.steps[1].cachedFrom = "p-1" }
        return run
    }

    /// - Parameter home: the column and value for a server's name, where there is one.
    static func pipelines(home: (column: String, value: String)? = nil) -> EarlierRows {
        let (column, value) = (home.map { ", \($0.column)" } ?? "", home.map { ", '\($0.value)'" } ?? "")
        var statements: [String] = []
        for (number, run) in pipelineRuns.enumerated() {
            let header = JSONValue.object(run.json(includesSteps: false)).text()
            statements.append(
                "INSERT INTO pipeline_run (sequence, id, namespace, pipeline, state, created, body\(column)) "
                    + "VALUES (\(number + 1), '\(run.id)', 'default', 'fraud', 'succeeded', 5, '\(header)'\(value))")
            for (position, step) in run.steps.enumerated() {
                let body = JSONValue.object(step.json()).text()
                // What the column of later versions holds, where it is there already.
                let (name, source) =
                    home == nil ? ("", "") : (", source", ", " + (step.cachedFrom.map { "'\($0)'" } ?? "NULL"))
                statements.append(
                    "INSERT INTO pipeline_step (run, position, name, body\(name)) "
                        + "VALUES (\(number + 1), \(position), '\(step.name)', '\(body)'\(source))")
            }
        }
        let step = CachedStep(runID: "p-1", artifacts: [:], values: ["x": 1], params: [:], metrics: [], logged: [:])
        let (name, run) = home == nil ? ("", "") : (", run", ", 'p-1'")
        statements.append(
            "INSERT INTO pipeline_cache (key, created, body\(column)\(name)) "
                + "VALUES ('k', 6, '\(JSONValue.object(step.json()).text())'\(value)\(run))")
        let decision = StepDecision(isApproved: true, by: "bo", comment: "fine", time: at(7))
        statements.append(
            "INSERT INTO pipeline_decision (run, step, body) "
                + "VALUES ('p-1', 'judge', '\(JSONValue.object(decision.json()).text())')")
        return EarlierRows(statements) { _, stores in
            let store = stores.pipelineRuns
            let runs = try await store.runs(PipelineRunFilter())
            #expect(runs == pipelineRuns.reversed())
            #expect(try await store.owns("p-1"))
            #expect(try await store.cached("k") == step)
            #expect(try await store.decision(run: "p-1", step: "judge") == decision)
            // `p-2` took its results from `p-1`, which a version without the columns knew from the text alone.
            #expect(try await store.retire(keeping: 1, limit: 9) == [])
        }
    }

    static func webhooks(secret: String) -> EarlierRows {
        EarlierRows([
            "INSERT INTO webhooks (seq, id, name, description, url, status, creation_time, last_update_time) "
                + "VALUES (2, 'w-1', 'hook', 'd', 'http://127.0.0.1/x', 'ACTIVE', 90, 91)",
            "INSERT INTO webhook_events (owner, event) VALUES (2, 'registered_model.created')",
            "INSERT INTO webhook_secrets (owner, sealed) VALUES (2, \(secret))",
            "INSERT INTO webhook_deliveries (id, owner, event, payload, state, attempts, creation_time, "
                + "next_attempt_time, problem) "
                + "VALUES ('d-1', 2, 'registered_model.created', '{}', 'pending', 1, 92, 93, 'away')",
        ]) { _, stores in
            let store = stores.webhooks
            let webhook = try #require(try await store.get("w-1"))
            #expect(webhook.name == "hook" && webhook.hasSecret && webhook.events == [.modelCreated])
            #expect(try await store.sealedSecret("w-1") == [1, 255])
            let claimed = try await store.claim(limit: 9, perWebhook: 9, skipping: [], now: at(93), until: at(99))
            #expect(claimed.map(\.id) == ["d-1"] && claimed.map(\.attempts) == [1])
        }
    }

    static let retention = EarlierRows([
        "INSERT INTO orphaned_files (kind, owner, location, time) VALUES ('run', 'r0', 'mlflow-artifacts:/7/r0', 5)"
    ]) { stores, _ in
        let files = try await stores.purge.orphanedFiles(after: 0, limit: 9)
        #expect(files.map(\.owner) == ["r0"] && files.map(\.location) == ["mlflow-artifacts:/7/r0"])
    }

    static let bandits = EarlierRows([
        "INSERT INTO bandit_arm (namespace, deployment, predictor, node, arm, version, reward, penalty, feedbacks) "
            + "VALUES ('default', 'd', 'p', 'router', 1, '3', 1.5, 0.5, 2)"
    ]) { _, stores in
        let key = BanditKey(namespace: "default", deployment: "d", predictor: "p", node: "router")
        let arms = try await stores.bandits.arms([key])
        #expect(arms == [key: [1: BanditArm(version: "3", reward: 1.5, penalty: 0.5, feedbacks: 2)]])
    }

    /// A step that changed what was there; what earlier ones wrote is checked.
    static let none = EarlierRows([]) { _, _ in }

    static func only(_ statements: [String]) -> EarlierRows { EarlierRows(statements) { _, _ in } }
}
