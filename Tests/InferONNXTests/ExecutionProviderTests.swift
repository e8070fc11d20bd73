import AerieCore
import AerieData
import Foundation
import InferONNX
import Serving
import Testing

@Suite("Execution providers and graph optimization")
struct ExecutionProviderTests {
    private let affine = ONNXModelTests.fixtures + "affine.onnx"
    /// None of the machines that run this has it; where one does, there is nothing to fall back from.
    private var hasCUDA: Bool { (try? ONNXFormat.providers().contains(.cuda)) ?? false }

    private func answer(_ model: any InferenceModel) throws -> [Float] {
        let rows = Tensor(name: "x", dataType: .fp32, shape: [2, 2], elements: [1, 2, 3, 4] as [Float])
        return try model.infer([rows])[0].elements(as: Float.self)
    }

    @Test("A provider that is not there is told, with those that are and the way out")
    func missing() throws {
        #expect(try ONNXFormat.providers().contains(.cpu))
        guard !hasCUDA else { return }
        let error = #expect(throws: AerieError.self) {
            try ONNXFormat().load(file: affine, options: ModelLoadOptions(providers: [.cuda]))
        }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.message.contains("cuda is not there") == true)
        #expect(error?.message.contains("has cpu") == true)
        #expect(error?.message.contains("cuda,cpu") == true)
    }

    @Test("A declared fallback is taken and said")
    func fallback() throws {
        guard !hasCUDA else { return }
        let options = ModelLoadOptions(providers: [.tensorrt, .cuda, .cpu])
        let model = try ONNXFormat().load(file: affine, options: options)
        #expect(try answer(model) == [-3.5, -5.5])
        let note = try #require(model.description.notes.first)
        #expect(note.contains("tensorrt is not there"))
        #expect(note.contains("computed by cpu"))
        let plain = try ONNXFormat().load(file: affine, options: ModelLoadOptions(providers: [.cpu]))
        #expect(plain.description.notes.isEmpty)
    }

    @Test("A model's own MLmodel says what computes it; where it lies may say otherwise")
    func manifest() throws {
        guard !hasCUDA else { return }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        try FileManager.default.copyItem(atPath: affine, toPath: folder + "/model.onnx")
        func load(_ providers: String, _ own: [ExecutionProvider] = []) throws -> any InferenceModel {
            let text = "flavors:\n  onnx:\n    data: model.onnx\n    providers: [\(providers)]\n"
            try text.write(toFile: folder + "/MLmodel", atomically: true, encoding: .utf8)
            let location = ModelLocation(path: folder, name: "m", version: "1", identity: "i", uri: folder)
            return try ModelLoader(formats: [ONNXFormat()]).load(location.computed(by: own))
        }
        #expect(throws: AerieError.self) { try load("CUDAExecutionProvider") }
        #expect(try load("CUDAExecutionProvider, CPUExecutionProvider").description.notes.count == 1)
        #expect(try load("CUDAExecutionProvider", [.cpu]).description.notes.isEmpty)
        #expect(throws: AerieError.self) { try load("CPUExecutionProvider", [.cuda]) }
    }

    @Test("A list of providers names each once, by either name")
    func list() throws {
        #expect(try ExecutionProvider.list("tensorrt, CUDAExecutionProvider,cpu") == [.tensorrt, .cuda, .cpu])
        for wrong in ["", "gpu", "cpu,,cuda", "cpu,cpu"] {
            #expect(throws: AerieError.self, "\(wrong)") { try ExecutionProvider.list(wrong) }
        }
        let location = ModelLocation(path: "p", name: "m", version: "1", identity: "i", uri: "u")
        #expect(location.computed(by: []) == location)
        #expect(location.computed(by: [.cuda]).identity != location.computed(by: [.cpu]).identity)
    }

    @Test("An optimized graph is a model of its own that computes the same", arguments: ["basic", "extended", "all"])
    func optimized(_ name: String) throws {
        let level = try #require(ONNXFormat.GraphOptimization(rawValue: name))
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).onnx").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        try ONNXFormat().optimize(file: affine, level, to: path)
        for loaded in ONNXFormat.GraphOptimization.allCases {
            let model = try ONNXFormat().load(file: path, optimization: loaded)
            #expect(try answer(model) == [-3.5, -5.5])
        }
        #expect(throws: AerieError.self) { try ONNXFormat().optimize(file: affine, level, to: "/nowhere/model.onnx") }
    }
}
