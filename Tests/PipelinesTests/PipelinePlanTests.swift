import AerieCore
import AerieJSON
import AerieResources
import AerieYAML
import Pipelines
import Testing

@Suite("Planning pipelines") struct PipelinePlanTests {
    static let catalog = StepCatalog([
        FakeStep(name: "ingest", parameters: .object([Field("path", .string, required: true)]), outputs: ["data", "rows"]),
        FakeStep(name: "train", parameters: .object([
            Field("data", .string, required: true), Field("trees", .integer(1...10_000)), Field("objective", .choice(["binary", "regression"])),
            Field("parameters", .map(.anyNumber)), Field("columns", .array(.string)),
        ]), outputs: ["model", "auc"]),
        FakeStep(name: "deploy", parameters: .object([Field("model", .string)]), placement: .server, isCacheable: false),
    ])

    struct Wrong: Sendable, CustomTestStringConvertible {
        var name: String
        var yaml: String
        var path: String
        var says: String
        var testDescription: String { name }
    }

    static func steps(_ extra: String) -> String {
        """
        parameters: {rows: 10}
        steps:
        - {name: ingest, uses: ingest, with: {path: a.csv}}
        - \(extra)
        """
    }

    static let wrong: [Wrong] = [
        Wrong(name: "no steps", yaml: "description: x", path: "spec.steps", says: "required"),
        Wrong(name: "empty steps", yaml: "steps: []", path: "spec.steps", says: "at least one"),
        Wrong(name: "steps not a list", yaml: "steps: {}", path: "spec.steps", says: "must be a list"),
        Wrong(name: "unknown field", yaml: "stages: []\nsteps: []", path: "spec.stages", says: "unknown field; there are description"),
        Wrong(name: "step without uses", yaml: "steps: [{name: a}]", path: "spec.steps[0].uses", says: "required"),
        Wrong(name: "unknown kind", yaml: steps("{name: a, uses: trian}"), path: "spec.steps[1].uses", says: "deploy, ingest, train"),
        Wrong(name: "same name twice", yaml: steps("{name: ingest, uses: deploy}"), path: "spec.steps[1].name", says: "another step"),
        Wrong(name: "name with a slash", yaml: steps("{name: ../a, uses: deploy}"), path: "spec.steps[1].name", says: "is no name"),
        Wrong(name: "name too long", yaml: steps("{name: \(String(repeating: "a", count: 64)), uses: deploy}"), path: "spec.steps[1].name", says: "63"),
        Wrong(name: "missing need", yaml: steps("{name: a, uses: deploy, needs: [train]}"), path: "spec.steps[1].needs[0]", says: "no step 'train'"),
        Wrong(name: "needs itself", yaml: steps("{name: a, uses: deploy, needs: [a]}"), path: "spec.steps[1].needs[0]", says: "itself"),
        Wrong(name: "need twice", yaml: steps("{name: a, uses: deploy, needs: [ingest, ingest]}"), path: "spec.steps[1].needs[1]", says: "twice"),
        Wrong(name: "cycle", yaml: "steps: [{name: a, uses: deploy, needs: [c]}, {name: b, uses: deploy, needs: [a]}, {name: c, uses: deploy, needs: [b]}]",
              path: "spec.steps[0].needs", says: "a → b → c → a"),
        Wrong(name: "cycle through references", yaml: "steps: [{name: a, uses: train, with: {data: '${steps.b.model}'}}, {name: b, uses: train, with: {data: '${steps.a.model}'}}]",
              path: "spec.steps[0].needs", says: "a → b → a"),
        Wrong(name: "unknown output", yaml: steps("{name: a, uses: train, with: {data: '${steps.ingest.table}'}}"), path: "spec.steps[1].with.data", says: "gives data, rows, no 'table'"),
        Wrong(name: "unknown step in a reference", yaml: steps("{name: a, uses: train, with: {data: '${steps.inges.data}'}}"), path: "spec.steps[1].with.data", says: "no step 'inges'"),
        Wrong(name: "own output", yaml: steps("{name: a, uses: train, with: {data: '${steps.a.model}'}}"), path: "spec.steps[1].with.data", says: "its own output"),
        Wrong(name: "unknown parameter", yaml: steps("{name: a, uses: train, with: {data: 'x-${parameters.row}'}}"), path: "spec.steps[1].with.data", says: "there are rows"),
        Wrong(name: "meaningless reference", yaml: steps("{name: a, uses: train, with: {data: '${env.HOME}'}}"), path: "spec.steps[1].with.data", says: "refers to nothing"),
        Wrong(name: "unclosed reference", yaml: steps("{name: a, uses: train, with: {data: '${run.id'}}"), path: "spec.steps[1].with.data", says: "not closed"),
        Wrong(name: "reference deep in a list", yaml: steps("{name: a, uses: train, with: {data: x, columns: [b, '${nope}']}}"), path: "spec.steps[1].with.columns[1]", says: "refers to nothing"),
        Wrong(name: "with: unknown field", yaml: steps("{name: a, uses: train, with: {data: x, tree: 3}}"), path: "spec.steps[1].with.tree", says: "there are data, trees"),
        Wrong(name: "with: missing field", yaml: steps("{name: a, uses: train}"), path: "spec.steps[1].with.data", says: "required"),
        Wrong(name: "with: out of range", yaml: steps("{name: a, uses: train, with: {data: x, trees: 0}}"), path: "spec.steps[1].with.trees", says: "1 to 10000"),
        Wrong(name: "with: wrong type", yaml: steps("{name: a, uses: train, with: {data: x, trees: many}}"), path: "spec.steps[1].with.trees", says: "whole number, not a string"),
        Wrong(name: "with: wrong choice", yaml: steps("{name: a, uses: train, with: {data: x, objective: ranking}}"), path: "spec.steps[1].with.objective", says: "binary, regression"),
        Wrong(name: "with: wrong element", yaml: steps("{name: a, uses: train, with: {data: x, columns: [1]}}"), path: "spec.steps[1].with.columns[0]", says: "must be a string"),
        Wrong(name: "with: wrong member", yaml: steps("{name: a, uses: train, with: {data: x, parameters: {eta: high}}}"), path: "spec.steps[1].with.parameters.eta", says: "must be a number"),
        Wrong(name: "timeout", yaml: steps("{name: a, uses: deploy, timeout: 5 parsecs}"), path: "spec.steps[1].timeout", says: "is no time"),
        Wrong(name: "negative timeout", yaml: steps("{name: a, uses: deploy, timeout: -1}"), path: "spec.steps[1].timeout", says: "is no time"),
        Wrong(name: "retries", yaml: steps("{name: a, uses: deploy, retries: 21}"), path: "spec.steps[1].retries", says: "0 to 20"),
        Wrong(name: "retries: backoff", yaml: steps("{name: a, uses: deploy, retries: {limit: 2, backoff: soon}}"), path: "spec.steps[1].retries.backoff", says: "is no time"),
        Wrong(name: "cache", yaml: steps("{name: a, uses: deploy, cache: sometimes}"), path: "spec.steps[1].cache", says: "true or false"),
        Wrong(name: "trigger", yaml: steps("{name: a, uses: deploy, trigger: always}"), path: "spec.steps[1].trigger", says: "succeeded, completed"),
        Wrong(name: "condition syntax", yaml: steps("{name: a, uses: deploy, when: '${steps.ingest.rows} >'}"), path: "spec.steps[1].when", says: "expected a value at character"),
        Wrong(name: "condition output", yaml: steps("{name: a, uses: deploy, when: '${steps.ingest.row} > 1'}"), path: "spec.steps[1].when", says: "no 'row'"),
        Wrong(name: "condition of bare words", yaml: steps("{name: a, uses: deploy, when: heads}"), path: "spec.steps[1].when", says: "quoted string"),
        Wrong(name: "memory", yaml: steps("{name: a, uses: deploy, limits: {memory: 5}}"), path: "spec.steps[1].limits.memory", says: "64Mi"),
        Wrong(name: "parameter type", yaml: "parameters: {a: {type: date}}\nsteps: [{name: a, uses: deploy}]", path: "spec.parameters.a.type", says: "string, integer"),
        Wrong(name: "parameter default", yaml: "parameters: {a: {type: integer, default: x}}\nsteps: [{name: a, uses: deploy}]", path: "spec.parameters.a.default", says: "not of type integer"),
        Wrong(name: "parameter of nothing", yaml: "parameters: {a: null}\nsteps: [{name: a, uses: deploy}]", path: "spec.parameters.a", says: "null has no type"),
        Wrong(name: "parameter field", yaml: "parameters: {a: {defualt: 1, type: integer}}\nsteps: [{name: a, uses: deploy}]", path: "spec.parameters.a.defualt", says: "unknown field"),
        Wrong(name: "experiment of a step", yaml: "experiment: '${steps.a.x}'\nsteps: [{name: a, uses: deploy}]", path: "spec.experiment", says: "only after"),
    ]

    @Test("a wrong pipeline is reported at its place", arguments: wrong)
    func reports(_ wrong: Wrong) throws {
        let spec = try #require(try YAMLDocument.parseAll(wrong.yaml).first?.value.object)
        let problems = PipelinePlan.problems(name: "demo", spec: spec, catalog: Self.catalog)
        let found = try #require(problems.first { $0.field == wrong.path }, "\(problems)")
        #expect(found.problem.contains(wrong.says), "\(found.problem)")
        #expect(problems.count == 1, "\(problems)")
        let error = #expect(throws: AerieError.self) {
            _ = try PipelinePlan.make(name: "demo", spec: spec, catalog: Self.catalog)
        }
        #expect(error?.code == .invalidArgument)
    }

    @Test("all the problems of a pipeline are reported together")
    func together() throws {
        let yaml = "steps: [{name: a, uses: no, timeout: x}, {name: a, uses: train, needs: [q]}]"
        let spec = try #require(try YAMLDocument.parseAll(yaml).first?.value.object)
        let fields = PipelinePlan.problems(name: "-bad", spec: spec, catalog: Self.catalog).map(\.field)
        #expect(Set(fields) == [
            "metadata.name", "spec.steps[0].uses", "spec.steps[0].timeout", "spec.steps[1].name", "spec.steps[1].needs[0]",
            "spec.steps[1].with.data",
        ])
    }

    @Test("a reference in with or when is a need, and stands in any place of the right shape")
    func implicitNeeds() throws {
        let plan = try plan("""
            parameters: {trees: {type: integer, default: 50, description: how many}}
            steps:
            - {name: train, uses: train, with: {data: '${steps.ingest.data}', trees: '${parameters.trees}', columns: '${steps.ingest.rows}'}}
            - {name: ingest, uses: ingest, with: {path: 'a-$${x}.csv'}}
            - {name: deploy, uses: deploy, needs: [ingest], when: '${steps.train.auc} > 0.9', retries: {limit: 3, backoff: 10s, factor: 3}, timeout: 2m, limits: {memory: 2Gi}}
            """)
        #expect(plan.steps.map(\.needs) == [["ingest"], [], ["train", "ingest"]])
        #expect(plan.steps[0].isCached && !plan.steps[2].isCached)
        #expect(plan.steps[2].timeout == .seconds(120))
        #expect(plan.steps[2].memoryLimit == 2 << 30)
        let backoff = Backoff(base: .seconds(10), factor: 3, cap: .seconds(300))
        #expect(plan.steps[2].retry == RetryPolicy(limit: 3, backoff: backoff))
    }

    @Test("a whole reference keeps its type, one in a text becomes text")
    func resolution() throws {
        let values: [String: JSONValue] = ["n": 5, "l": [1, "a"], "s": "x", "d": 0.5]
        func resolve(_ text: String) throws -> JSONValue {
            try JSONValue.string(text).resolvingReferences { reference throws(AerieError) in
                guard case .parameter(let name) = reference.source else { return .null }
                return values[name] ?? .null
            }
        }
        #expect(try resolve("${parameters.n}") == 5)
        #expect(try resolve("${ parameters.l }") == [1, "a"])
        #expect(try resolve("a ${parameters.n} b ${parameters.s} $5") == "a 5 b x $5")
        #expect(try resolve("${parameters.l}!") == "[1,\"a\"]!")
        #expect(try resolve("$${parameters.n} ${parameters.d}") == "${parameters.n} 0.5")
    }

    @Test("parameters are overridden in their types, and wrong ones are named")
    func parameters() throws {
        let plan = try plan("""
            parameters: {n: 5, rate: {type: number}, on: false, tags: {type: list, default: []}, name: x}
            steps: [{name: a, uses: deploy}]
            """)
        let values = try plan.parameterValues(overrides: ["rate": "0.5", "n": "7", "on": "true", "tags": "[1]", "name": 3])
        #expect(values == ["n": 7, "rate": 0.5, "on": true, "tags": [1], "name": "3"])
        let error = #expect(throws: AerieError.self) { _ = try plan.parameterValues(overrides: ["n": 1.5, "m": 1]) }
        #expect(error?.details.map(\.field) == ["parameters.m", "parameters.n", "parameters.rate"])
    }

    @Test("conditions", arguments: [
        ("${parameters.n} > 4 && ${parameters.s} == 'x'", true), ("!(${parameters.n} >= 5)", false),
        ("${parameters.n} == 5.0", true), ("${parameters.b} || ${parameters.n} < 0", true), ("${parameters.s} != \"y\"", true),
        ("false || (true && !false)", true), ("${parameters.missing} == null", true), ("-1e3 < 0", true),
    ])
    func conditions(_ text: String, _ truth: Bool) throws {
        let values: [String: JSONValue] = ["n": 5, "s": "x", "b": true]
        let holds = try PipelineCondition(text).evaluate { reference throws(AerieError) in
            guard case .parameter(let name) = reference.source else { return .null }
            return values[name] ?? .null
        }
        #expect(holds == truth)
    }

    @Test("a condition that compares what has no order, or is no truth, is an error", arguments: ["1 < 'a'", "5", "null > 1"])
    func meaninglessConditions(_ text: String) throws {
        let condition = try PipelineCondition(text)
        #expect(throws: AerieError.self) { _ = try condition.evaluate { _ in .null } }
    }

    @Test("deeply nested and odd conditions end in an error, not in a crash", arguments: [
        String(repeating: "(", count: 200), String(repeating: "!", count: 200), "${", "'", "", "1 ==", "a b", "1 2", "\u{301}",
    ])
    func hostileConditions(_ text: String) {
        #expect(throws: AerieError.self) { _ = try PipelineCondition(text) }
    }

    private func plan(_ yaml: String) throws -> PipelinePlan {
        try PipelinePlan.make(name: "demo", spec: try pipeline(yaml).spec, catalog: Self.catalog)
    }
}
