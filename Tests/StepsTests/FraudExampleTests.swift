import AerieCore
import AerieJSON
import AerieResources
import AerieYAML
import Features
import Foundation
import Pipelines
import Quality
import StoreDuckDB
import Testing
import TrainLightGBM

@testable import Steps

/// The files of `Examples/fraud`, as they are.
@Suite struct FraudExampleTests {
    private static let folder =
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path + "/Examples/fraud/"
    private static let catalog = StepCatalog(
        BuiltInSteps.all(engine: { DuckDBEngine() }, trainer: { LightGBMTrainer() }))

    private func resources(_ file: String) throws -> [Resource] {
        try YAMLDocument.parseAll(String(contentsOfFile: Self.folder + file, encoding: .utf8)).map { document in
            let spec = try #require(document.value["spec"]?.object)
            return Resource(
                apiVersion: document.value["apiVersion"]?.string ?? "", kind: document.value["kind"]?.string ?? "",
                metadata: ResourceMetadata(name: document.value["metadata"]?["name"]?.string ?? ""), spec: spec)
        }
    }

    @Test("The suite and the feature definitions are right") func declarations() throws {
        let kinds: [any ResourceKind] = [ExpectationSuiteKind(), EntityKind(), FeatureViewKind(), FeatureServiceKind()]
        for resource in try resources("suite.yaml") + resources("features.yaml") {
            let kind = try #require(kinds.first { $0.name == resource.kind })
            #expect(kind.validate(resource).isEmpty, "\(kind.validate(resource))")
        }
    }

    @Test("The pipeline checks the suite that is declared beside it") func sameSuite() throws {
        let steps = try resources("pipeline.yaml")[0].spec["steps"]?.array ?? []
        let inline = steps.first { $0["name"] == "validate" }?["with"]?["suite"]?["expectations"]
        #expect(try resources("suite.yaml")[0].spec["expectations"] == inline)
    }

    @Test("The pipeline over features as they were known is right, and learns as the other does") func pointInTime() throws {
        let pipelines = try resources("point-in-time.yaml")
        #expect(pipelines.map(\.metadata.name) == ["fraud-point-in-time", "fraud-transactions"])
        for pipeline in pipelines {
            let problems = PipelinePlan.problems(
                name: pipeline.metadata.name, spec: pipeline.spec, catalog: Self.catalog)
            #expect(problems.isEmpty, "\(problems)")
        }
        func steps(_ spec: JSONObject) -> [JSONValue] { spec["steps"]?.array ?? [] }
        let (plain, joined) = (steps(try resources("pipeline.yaml")[0].spec), steps(pipelines[0].spec))
        for name in ["train", "evaluate", "approve", "deploy"] {
            let step = plain.first { $0["name"]?.string == name }
            #expect(step != nil && step == joined.first { $0["name"]?.string == name }, "\(name)")
        }
        let columns = [plain, joined].map { $0.first { $0["name"]?.string == "features" }?["with"]?["columns"] }
        #expect(columns[0] != nil && columns[0] == columns[1])
    }

    @Test("The pipeline runs from the generated stream to a deployment") func pipeline() async throws {
        let spec = try resources("pipeline.yaml")[0].spec
        let plan = try PipelinePlan.make(name: "fraud-training", spec: spec, catalog: Self.catalog)
        let values = try plan.parameterValues(overrides: [:])
        let work = try TemporaryFolder()
        let platform = FakePlatform()
        var results: [String: StepResult] = [:]
        for planned in plan.steps {
            let step = try #require(Self.catalog[planned.uses])
            let done = results
            let parameters = try JSONValue.object(planned.with).resolvingReferences { reference throws(AerieError) in
                switch reference.source {
                case .parameter(let name): return values[name] ?? .null
                case .output(let name, let output, _):
                    if let path = done[name]?.artifacts[output] { return .string("\(work.path)/\(name)/\(path)") }
                    guard let value = done[name]?.values[output] else { throw .notFound("\(reference)") }
                    return value
                default: return "r1"
                }
            }
            let services: (any PlatformServices)? = step.placement == .server ? platform : nil
            results[planned.name] = try await step.run(
                work.context(planned.name, parameters.object ?? [:], services: services))
        }
        let evaluated = try #require(results["evaluate"])
        #expect((evaluated.values["auc"]?.double ?? 0) > 0.95 && (evaluated.values["f1"]?.double ?? 0) > 0.90)
        #expect(results["validate"]?.values["success"] == true)
        #expect(platform.asked.count == 5)
        #expect(platform.asked.last?.contains("models:/fraud_detector/4") == true)
        print("the example's model is in \(work.path)/train/model")
    }

    @Test("A pipeline with a wrong parameter is refused before it runs, with the parameter's path") func wrong() throws
    {
        var spec = try resources("pipeline.yaml")[0].spec
        var steps = try #require(spec["steps"]?.array)
        var train = try #require(steps[3].object)
        var with = try #require(train["with"]?.object)
        with["rounds"] = 0
        with["learningRate"] = 0.1
        train["with"] = .object(with)
        steps[3] = .object(train)
        spec["steps"] = .array(steps)
        let fields = PipelinePlan.problems(name: "p", spec: spec, catalog: Self.catalog).map(\.field)
        #expect(fields.contains("spec.steps[3].with.rounds") && fields.contains("spec.steps[3].with.learningRate"))
    }
}
