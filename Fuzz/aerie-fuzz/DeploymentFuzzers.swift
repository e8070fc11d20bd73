import Fuzzing

/// Manifests of what is to be served, from their text to the answers of what they describe.
enum DeploymentFuzzers {
    static var all: [Fuzzer] { [yaml, json] }

    private static var yaml: Fuzzer {
        fuzzer("deployment-yaml", "manifests of deployments in YAML, up to the answers of what they deploy", .lines, seeds) {
            String(decoding: $0, as: UTF8.self)
        }
    }

    /// The same as lists of JSON, which is YAML too: changed so that they stay what they are, many more are accepted.
    private static var json: Fuzzer {
        fuzzer(
            "deployment-json", "manifests of deployments in JSON, up to the answers of what they deploy", .json,
            seeds.map { FuzzedDeployments.list($0) }) { FuzzedDeployments.text(of: $0) }
    }

    private static func fuzzer(
        _ name: String, _ about: String, _ shape: Fuzzer.Shape, _ seeds: [String],
        text: @escaping @Sendable (UnsafeRawBufferPointer) -> String
    ) -> Fuzzer {
        Fuzzer(name, about, shape: shape, seeds: seeds.map(bytes), dictionary: words, maximumBytes: 16 << 10) {
            let deployments = try FuzzedDeployments()
            return { try deployments.outcome(of: text($0)) }
        }
    }

    private static let words = [
        "apiVersion", "kind", "metadata", "spec", "name", "namespace", "predictors", "graph", "children", "parameters",
        "value", "type", "implementation", "modelUri", "traffic", "shadow", "explainer", "initParameters", "annotations",
        "MODEL", "ROUTER", "COMBINER", "TRANSFORMER", "OUTPUT_TRANSFORMER", "SIMPLE_MODEL", "RANDOM_ABTEST",
        "AVERAGE_COMBINER", "aerie.dev/method", "hash", "weighted", "vote", "stacking", "clip", "select", "standardize",
        "outlier-quantile", "epsilon-greedy", "thompson-sampling", "columns", "weights", "reference", "lower", "upper",
        "aerie.dev/load", "on-demand", "aerie.dev/batching", "aerie.dev/model-config", "aerie.dev/sticky-column",
        "seldon.io/rest-timeout", "aerie.dev/memory", "0", "-1", "1e300", "NaN", "100", "models:/lgb/1",
        "models:/tensors/1", "models:/missing/1", "files:/rows.csv", "KernelShap", "LIME", "TreeShap", "&a", "*a", "<<:",
        "storageUri", "canaryTrafficPercent", "candidates", "weight", "mirror", "{}", "[]",
    ]

    private static let seldon = "apiVersion: machinelearning.seldon.io/v1\nkind: SeldonDeployment\n"

    private static func deployment(_ name: String, annotations: String = "", _ predictors: String) -> String {
        "\(seldon)metadata:\n  name: \(name)\n  annotations: {\(annotations)}\nspec:\n  predictors:\n\(predictors)"
    }

    /// One of each thing that a deployment can say; the models are those of `FuzzedDeployments`.
    private static var seeds: [String] {
        [
            // As the founding document has it, with a model that is here.
            """
            \(seldon)metadata:
              name: fraud-detector
            spec:
              predictors:
              - name: production
                replicas: 100
                graph:
                  name: classifier
                  type: MODEL
                  implementation: SKLEARN_SERVER
                  modelUri: models:/xgb/1
                componentSpecs:
                - spec:
                    containers:
                    - name: classifier
                      resources:
                        requests: {cpu: "2", memory: 4Gi}
                autoscaling: {enabled: true, minReplicas: 50, maxReplicas: 200, targetCPUUtilization: 70}
            """,
            deployment("split", annotations: "aerie.dev/sticky-column: f0, seldon.io/rest-timeout: \"2000\"", """
                  - {name: a, traffic: 80, graph: {name: one, modelUri: models:/xgb/1}}
                  - {name: b, traffic: 20, graph: {name: two, modelUri: models:/xgb/2}, annotations: {version: v2}}
                  - {name: c, shadow: true, graph: {name: three, modelUri: models:/xgb/3}}
                """),
            deployment("mean", """
                  - name: main
                    graph:
                      name: mean
                      type: COMBINER
                      parameters: [{name: aerie.dev/method, value: weighted, type: STRING}, {name: weights, value: "1,3"}]
                      children:
                      - {name: a, modelUri: models:/xgb/1}
                      - name: scale
                        type: TRANSFORMER
                        parameters:
                        - {name: aerie.dev/method, value: standardize}
                        - {name: mean, value: "0,1,0,1,0,1"}
                        - {name: std, value: "2,2,2,1,1,1"}
                        children: [{name: b, modelUri: models:/xgb/2}]
                """),
            deployment("router", """
                  - name: main
                    explainer: {type: KernelShap, modelUri: files:/rows.csv, initParameters: '{"nsamples": 20}'}
                    graph:
                      name: learns
                      type: ROUTER
                      parameters: [{name: aerie.dev/method, value: epsilon-greedy}, {name: epsilon, value: "0.2"}]
                      children:
                      - {name: a, modelUri: models:/xgb/1}
                      - name: bounds
                        type: OUTPUT_TRANSFORMER
                        parameters: [{name: aerie.dev/method, value: clip}, {name: lower, value: "0.1"}]
                        children: [{name: b, implementation: SIMPLE_MODEL}]
                """),
            deployment("outliers", """
                  - name: main
                    graph:
                      name: detector
                      type: TRANSFORMER
                      parameters: [{name: aerie.dev/method, value: outlier-mahalanobis}, {name: reference, value: files:/rows.csv}]
                      children: [{name: ab, implementation: RANDOM_ABTEST, parameters: [{name: ratioA, value: "0.5", type: FLOAT}],
                        children: [{name: a, modelUri: models:/xgb/1}, {name: b, modelUri: models:/xgb/2}]}]
                """),
            deployment(
                "batched", annotations: #"aerie.dev/model-config: '{"max_batch_size": 8, "dynamic_batching": {"#
                    + #""max_queue_delay_microseconds": 50}, "response_cache": {"enable": true}}'"#,
                "  - {name: main, graph: {name: m, modelUri: models:/tensors/1}}"),
            deployment(
                "sleeper", annotations: "aerie.dev/load: on-demand, aerie.dev/memory: 1MB",
                "  - {name: main, graph: {name: m, modelUri: models:/xgb/1}, explainer: {type: TreeShap}}"),
            """
            apiVersion: serving.kserve.io/v1beta1
            kind: InferenceService
            metadata: {name: iris}
            spec:
              predictor:
                canaryTrafficPercent: 30
                timeout: 5
                model: {modelFormat: {name: xgboost}, storageUri: models:/xgb/1, protocolVersion: v2}
              explainer: {alibi: {type: LIME, storageUri: files:/rows.csv, config: {num_samples: "50"}}}
            """,
            """
            apiVersion: mlops.seldon.io/v1alpha1
            kind: Model
            metadata: {name: a}
            spec: {storageUri: models:/xgb/1, requirements: [xgboost]}
            ---
            apiVersion: mlops.seldon.io/v1alpha1
            kind: Model
            metadata: {name: b}
            spec: {storageUri: models:/xgb/2, memory: 100Ki}
            ---
            apiVersion: mlops.seldon.io/v1alpha1
            kind: Experiment
            metadata: {name: ab}
            spec: {default: a, candidates: [{name: a, weight: 50}, {name: b, weight: 50}], mirror: {name: b, percent: 10}}
            """,
        ]
    }
}
