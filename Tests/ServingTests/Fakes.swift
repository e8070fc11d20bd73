import AerieCore
import AerieData
import Foundation
import Serving
import Synchronization

/// Answers every row with one number.
final class ConstantModel: TabularModel {
    let description: ModelDescription
    let featureCount: Int
    let outputCount: Int
    let rowType = DataType.fp32
    let value: Float

    init(value: Float, features: Int = 2, outputs: Int = 1, names: [String] = [], isProbability: Bool? = nil) {
        self.value = value
        featureCount = features
        outputCount = outputs
        description = ModelDescription(
            platform: "fake", inputs: [TensorSpec(name: "input", dataType: .fp32, shape: [-1, features])],
            outputs: [TensorSpec(name: "predict", dataType: .fp32, shape: outputs == 1 ? [-1] : [-1, outputs])],
            featureNames: names, nanosecondsPerRow: 100, isProbability: isProbability)
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        [Tensor(name: "predict", dataType: .fp32, shape: [1], elements: [value])]
    }

    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        for index in 0..<count * outputCount { output.storeBytes(of: value, toByteOffset: index * 4, as: Float.self) }
    }
}

/// A format whose files hold a number; counts how often it was asked. A file that holds none fails to load.
final class FakeFormat: ModelFormat {
    let flavor: String
    let fileExtensions: [String]
    private let features: Int
    private let outputs: Int
    private let pause: Double
    private let paths = Mutex<[String]>([])

    init(
        _ flavor: String = "xgboost", _ fileExtensions: [String] = ["ubj", "json"], features: Int = 2,
        outputs: Int = 1, pause: Double = 0
    ) {
        self.flavor = flavor
        self.fileExtensions = fileExtensions
        self.features = features
        self.outputs = outputs
        self.pause = pause
    }

    var loaded: [String] { paths.withLock { $0 } }

    func load(file path: String) throws(AerieError) -> any InferenceModel {
        paths.withLock { $0.append(path) }
        if pause > 0 { Thread.sleep(forTimeInterval: pause) }
        guard let text = try? String(contentsOfFile: path, encoding: .utf8),
            let value = Float(text.filter { $0.isNumber || $0 == "." })
        else { throw AerieError(.invalidArgument, "\(path): no number at byte 0") }
        return ConstantModel(value: value, features: features, outputs: outputs)
    }
}

/// A registry in memory: each URI means a file, until it is told otherwise. Paths are files of this machine.
final class FakeSource: ModelSource {
    private let table = Mutex<[String: ModelLocation]>([:])

    func set(_ uri: String, path: String, version: String) {
        table.withLock {
            $0[uri] = ModelLocation(
                path: path, name: "fraud", version: version, identity: "\(path)#\(version)", uri: uri)
        }
    }

    func fetch(_ uri: String) async throws(AerieError) -> ModelLocation {
        if let location = table.withLock({ $0[uri] }) { return location }
        guard uri.hasPrefix("/") else { throw .notFound("\(uri): there is no such model") }
        return try LocalModelSource.locate(uri)
    }
}

/// A folder of its own for one test, gone afterwards.
final class TemporaryFolder {
    let path = FileManager.default.temporaryDirectory.path + "/aerie-serving-\(UUID().uuidString)"
    init() { try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }

    @discardableResult
    func write(_ name: String, _ text: String) throws -> String {
        let file = path + "/" + name
        let folder = (file as NSString).deletingLastPathComponent
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return file
    }
}

/// A model over tensors that remembers the shapes it was asked with.
final class ShapeModel: InferenceModel {
    let shapes = Mutex<[[Int]]>([])
    let description = ModelDescription(
        platform: "fake", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 3])],
        outputs: [TensorSpec(name: "y", dataType: .fp32, shape: [-1])], nanosecondsPerRow: 100)

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        shapes.withLock { $0.append(inputs[0].shape) }
        return [Tensor(name: "y", dataType: .fp32, shape: [1], elements: [Float(1)])]
    }
}
