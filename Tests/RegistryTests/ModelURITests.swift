import AerieCore
import Experiments
import Registry
import Testing

@Suite struct ModelURITests {
    @Test("every form is read and written back", arguments: [
        ("models:/fraud/3", ModelURI.version("fraud", 3)), ("models:/fraud/Production", .stage("fraud", .production)),
        ("models:/fraud/staging", .stage("fraud", .staging)), ("models:/fraud/latest", .latest("fraud")),
        ("models:/fraud@champion", .alias("fraud", "champion")), ("models:/m-0a1b", .loggedModel("m-0a1b")),
        ("runs:/abc/model", .run("abc", "model")), ("runs:/abc/a/b", .run("abc", "a/b")),
        ("mlflow-artifacts:/1/x", .location("mlflow-artifacts:/1/x")),
    ])
    func reads(_ text: String, _ uri: ModelURI) throws {
        #expect(try ModelURI(text) == uri)
        #expect(try ModelURI(uri.description) == uri)
    }

    @Test("what names no model is refused with the forms that do", arguments: [
        "", "fraud", "models:/", "models:/fraud", "models:/fraud/", "models:/fraud/0", "models:/fraud/-1",
            "models:/fraud/Best",
        "models:/@x", "models:/fraud@", "runs:/", "s3://bucket/model", "http://x/y",
    ])
    func refuses(_ text: String) {
        let error = #expect(throws: AerieError.self) { try ModelURI(text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.details.first?.field == "modelUri")
    }
}
