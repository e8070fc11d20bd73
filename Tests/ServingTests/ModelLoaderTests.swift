import AerieCore
import Foundation
import Serving
import Testing

@Suite("Loading models")
struct ModelLoaderTests {
    private let folder = TemporaryFolder()
    private let xgboost = FakeFormat("xgboost", ["ubj", "json", "xgb"])
    private let lightgbm = FakeFormat("lightgbm", ["lgb", "txt"])
    private let onnx = FakeFormat("onnx", ["onnx"])
    private var loader: ModelLoader { ModelLoader(formats: [xgboost, lightgbm, onnx]) }

    private func location(_ path: String) -> ModelLocation {
        ModelLocation(path: path, name: "m", version: "1", identity: path, uri: "models:/m/1")
    }

    private func load(mlmodel: String) throws -> any InferenceModel {
        try folder.write("model/MLmodel", mlmodel)
        return try loader.load(location(folder.path + "/model"))
    }

    @Test("a bare file goes to the format of its ending", arguments: ["a.ubj", "A.JSON", "model.xgb"])
    func byEnding(_ name: String) throws {
        let model = try loader.load(location(try folder.write(name, "0.5")))
        #expect((model as? ConstantModel)?.value == 0.5)
        #expect(xgboost.loaded.count == 1)
    }

    @Test("a file without a known ending is recognized by its first bytes")
    func byContent() throws {
        _ = try loader.load(location(try folder.write("model", "tree 4")))
        _ = try loader.load(location(try folder.write("weights.bin", "{L 3}")))
        _ = try loader.load(location(try folder.write("graph.bin", "\u{08}\u{07} 1")))
        let counts: [Int] = [lightgbm.loaded.count, xgboost.loaded.count, onnx.loaded.count]
        #expect(counts.allSatisfy { $0 == 1 })
    }

    @Test("a file of no known format, an empty one and one that is not there are refused by name")
    func unknown() throws {
        for (name, text) in [("a.bin", "hello"), ("empty", "")] {
            let path = try folder.write(name, text)
            let error = try #require(throws: AerieError.self) { try loader.load(location(path)) }
            #expect(error.code == .unsupported)
            #expect(error.message.contains(path) && error.message.contains(".ubj"))
        }
        let gone = try #require(throws: AerieError.self) { try loader.load(location("/no/such/file.ubj")) }
        #expect(gone.code == .notFound)
    }

    @Test("an MLflow folder's native flavor is found under whatever name its file has, with the signature's columns")
    func mlflowFolder() throws {
        try folder.write("model/sub/strange.name", "0.25")
        let model = try load(mlmodel: """
            artifact_path: model
            flavors:
              python_function:
                data: sub/strange.name
                loader_module: mlflow.xgboost
              xgboost:
                data: sub/strange.name
                model_class: xgboost.sklearn.XGBClassifier
                model_format: ubj
            signature:
              inputs: '[{"type": "double", "name": "amount", "required": true}, {"type": "long", "name": "age"}]'
              outputs: '[{"type": "long", "required": true}]'
            """)
        #expect(model.description.featureNames == ["amount", "age"])
        let tabular = try #require(model as? any TabularModel)
        var output: Float = 0
        tabular.predict(rows: [Float(1), 2], count: 1, into: &output)
        #expect(output == 0.25)
    }

    @Test("names that do not fit the model's columns, or a tensor signature, are left out", arguments: [
        "'[{\"type\": \"double\", \"name\": \"only\"}]'",
        "'[{\"type\": \"tensor\", \"tensor-spec\": {\"dtype\": \"float64\", \"shape\": [-1, 2]}}]'", "'not json'", "17",
    ])
    func oddSignatures(_ inputs: String) throws {
        try folder.write("model/model.ubj", "0.25")
        let model = try load(mlmodel: "flavors: {xgboost: {data: model.ubj}}\nsignature: {inputs: \(inputs)}")
        #expect(model.description.featureNames.isEmpty)
    }

    @Test("a model that only Python can read is refused with the way out", arguments: [
        ("flavors: {python_function: {model_path: model.pkl}, sklearn: {pickled_model: model.pkl}}", "skl2onnx"),
        ("flavors: {lightgbm: {data: model.pkl, model_class: lightgbm.sklearn.LGBMClassifier}}", "booster_"),
        ("flavors: {lightgbm: {data: model.skops, model_class: lightgbm.sklearn.LGBMClassifier}}", "LGBMClassifier"),
        ("flavors: {python_function: {loader_module: my.module}}", "python_function"),
    ])
    func pickled(_ mlmodel: String, _ hint: String) throws {
        try folder.write("model/model.pkl", "x")
        try folder.write("model/model.skops", "x")
        let error = try #require(throws: AerieError.self) { try load(mlmodel: mlmodel) }
        #expect(error.code == .unsupported)
        #expect(error.message.contains(hint), "\(error.message)")
    }

    @Test("a data file outside of the folder is refused", arguments: [
        "../secret.ubj", "/etc/hostname", "sub/../../secret.ubj", "link.ubj", "",
    ])
    func traversal(_ data: String) throws {
        let secret = try folder.write("secret.ubj", "0.5")
        try folder.write("model/model.ubj", "0.5")
        try FileManager.default.createSymbolicLink(
            atPath: folder.path + "/model/link.ubj", withDestinationPath: secret)
        let error = try #require(throws: AerieError.self) { try load(mlmodel: "flavors: {xgboost: {data: '\(data)'}}") }
        #expect(error.code == .invalidArgument)
        #expect(xgboost.loaded.isEmpty)
    }

    @Test("an MLmodel that is no YAML, has no flavors or names a missing file says so", arguments: [
        ("flavors: [", AerieError.Code.invalidArgument), ("a: 1", .invalidArgument), ("", .invalidArgument),
        ("flavors: {xgboost: {}}", .invalidArgument), ("flavors: {xgboost: {data: gone.ubj}}", .notFound),
        ("flavors: {}", .unsupported),
    ])
    func malformed(_ mlmodel: String, _ code: AerieError.Code) throws {
        let error = try #require(throws: AerieError.self) { try load(mlmodel: mlmodel) }
        #expect(error.code == code)
        #expect(error.message.contains("models:/m/1"))
    }

    @Test("paths are found on this machine; what cannot be fetched says what to write instead")
    func localSource() async throws {
        let path = try folder.write("m.ubj", "1")
        let source = LocalModelSource()
        let plain = try await source.fetch(path)
        let file = try await source.fetch("file://" + path)
        #expect(plain.path == path && file.path == path && plain.identity == file.identity)
        try folder.write("m.ubj", "22")
        #expect(try await source.fetch(path).identity != plain.identity)
        for (uri, code) in [
            ("gs://b/m", AerieError.Code.unsupported), ("s3://b/m", .unsupported), ("/no/such", .notFound),
            ("file://host/m", .invalidArgument), (folder.path, .failedPrecondition),
        ] {
            let error = await #expect(throws: AerieError.self) { try await source.fetch(uri) }
            #expect(error?.code == code, "\(uri)")
            #expect(error?.message.contains(uri) == true)
        }
    }
}
