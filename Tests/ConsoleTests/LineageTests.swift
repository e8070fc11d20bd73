import AerieCore
import Registry
import Testing

@testable import Console

@Suite struct LineageTests {
    @Test("a deployment answers with a version whichever way it names it", arguments: [
        ("models:/churn/3", "3", true), ("models:/churn/Production", "3", true), ("models:/churn@champion", "3", true),
        ("models:/churn/latest", "3", true), ("models:/m-1", "", true), ("mlflow-artifacts:/1/models/m-1/artifacts", "", true),
        ("runs:/r1/model", "", true), ("models:/churn@champion", "2", false), ("models:/churned/3", "3", false),
        ("models:/m-2", "", false), ("runs:/r2/model", "", false), ("s3://elsewhere/model", "3", false),
    ])
    func answers(_ uri: String, _ number: String, _ expected: Bool) {
        let time = Timestamp(milliseconds: 0)
        let place = uri.hasPrefix("runs:") ? "mlflow-artifacts:/1/r1/artifacts/model" : "mlflow-artifacts:/1/models/m-1/artifacts"
        let version = ModelVersion(
            name: "churn", version: 3, creationTime: time, lastUpdateTime: time, source: "models:/m-1", location: place,
            runID: "r1", modelID: "m-1")
        #expect(ConsoleRoutes.answers(uri, number, version) == expected)
    }
}
