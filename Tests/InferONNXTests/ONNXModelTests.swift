import AerieCore
import AerieData
import Foundation
import InferONNX
import Serving
import Testing

@Suite struct ONNXModelTests {
    static let fixtures = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/Fixtures/"

    func load(_ name: String) throws -> any InferenceModel { try ONNXFormat().load(file: Self.fixtures + name) }

    func bytes(_ texts: [String]) -> [UInt8] {
        texts.flatMap { text in
            withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian, Array.init) + Array(text.utf8)
        }
    }

    @Test("A model describes its inputs, outputs, types, shapes and cost")
    func description() throws {
        let description = try load("affine.onnx").description
        #expect(description.platform == "onnxruntime_onnx")
        #expect(description.inputs == [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 2])])
        #expect(description.outputs == [TensorSpec(name: "y", dataType: .fp32, shape: [-1, 1])])
        #expect(description.nanosecondsPerRow > 0)
        #expect(description.nanosecondsPerRow < 100_000)
    }

    @Test("Rows are computed as the graph says, whatever number type they come in")
    func affine() throws {
        let model = try load("affine.onnx")
        let inputs = [
            Tensor(name: "x", dataType: .fp32, shape: [2, 2], elements: [1, 2, 3, 4] as [Float]),
            Tensor(name: "x", dataType: .fp64, shape: [2, 2], elements: [1, 2, 3, 4] as [Double]),
            Tensor(name: "x", dataType: .int64, shape: [2, 2], elements: [1, 2, 3, 4] as [Int64]),
            Tensor(name: "x", dataType: .uint8, shape: [2, 2], elements: [1, 2, 3, 4] as [UInt8]),
        ]
        for input in inputs {
            let outputs = try model.infer([input])
            #expect(outputs.count == 1)
            #expect(outputs[0].name == "y")
            #expect(outputs[0].shape == [2, 1])
            #expect(outputs[0].elements(as: Float.self) == [-3.5, -5.5])
        }
        let none = try model.infer([Tensor(name: "x", dataType: .fp32, shape: [0, 2], bytes: [])])
        #expect(none[0].shape == [0, 1])
    }

    @Test(
        "A classifier's probabilities come first, as a tensor or out of maps",
        arguments: [("classifier.onnx", "probabilities"), ("classifier_maps.onnx", "output_probability")])
    func classifier(_ file: String, _ output: String) throws {
        let model = try load(file)
        #expect(model.description.outputs.map(\.name) == [output, "label"])
        #expect(model.description.outputs[0].dataType == .fp32)
        let rows: [Float] = [0.2, 0, 0, 0.7, 0, 0, 0.5, 0, 0]
        let outputs = try model.infer([Tensor(name: "x", dataType: .fp32, shape: [3, 3], elements: rows)])
        #expect(outputs.map(\.name) == [output, "label"])
        #expect(outputs[0].shape == [3, 3])
        let low: [Float] = [0.75, 0.125, 0.125]
        #expect(outputs[0].elements(as: Float.self) == low + [0.25, 0.5, 0.25] + low)
        #expect(outputs[1].elements(as: Int64.self) == [0, 1, 0])
    }

    @Test("Every element type goes in and comes out unchanged")
    func elementTypes() throws {
        let model = try load("types.onnx")
        let inputs = [
            Tensor(name: "in_FLOAT", dataType: .fp32, shape: [2], elements: [1.5, -.infinity] as [Float]),
            Tensor(name: "in_DOUBLE", dataType: .fp64, shape: [1], elements: [0.1]),
            Tensor(name: "in_INT64", dataType: .int64, shape: [2], elements: [Int64.min, .max]),
            Tensor(name: "in_INT32", dataType: .int32, shape: [1], elements: [Int32.min]),
            Tensor(name: "in_INT16", dataType: .int16, shape: [1], elements: [Int16.min]),
            Tensor(name: "in_INT8", dataType: .int8, shape: [1], elements: [Int8.min]),
            Tensor(name: "in_UINT64", dataType: .uint64, shape: [1], elements: [UInt64.max]),
            Tensor(name: "in_UINT32", dataType: .uint32, shape: [1], elements: [UInt32.max]),
            Tensor(name: "in_UINT16", dataType: .uint16, shape: [1], elements: [UInt16.max]),
            Tensor(name: "in_UINT8", dataType: .uint8, shape: [3], elements: [0, 1, 255] as [UInt8]),
            Tensor(name: "in_BOOL", dataType: .bool, shape: [3], bytes: [1, 0, 1]),
            Tensor(name: "in_STRING", dataType: .bytes, shape: [3], bytes: bytes(["", "hello", "東京"])),
            Tensor(name: "in_FLOAT16", dataType: .fp16, shape: [1], bytes: [0x00, 0x3c]),
        ]
        let outputs = try model.infer(inputs.reversed())
        #expect(outputs.count == inputs.count)
        for (input, output) in zip(inputs, outputs) {
            #expect(output.name == input.name.replacingOccurrences(of: "in_", with: "out_"))
            #expect(output.dataType == input.dataType)
            #expect(output.shape == input.shape)
            #expect(output.bytes == input.bytes, "\(input.name)")
        }
    }

    @Test("Inputs that do not fit are told by name, and nothing is run")
    func wrongInputs() throws {
        let model = try load("affine.onnx")
        let row: [Float] = [1, 2]
        let good = Tensor(name: "x", dataType: .fp32, shape: [1, 2], elements: row)
        let cases: [([Tensor], String)] = [
            ([], "'x' is missing"),
            ([Tensor(name: "z", dataType: .fp32, shape: [1, 2], elements: row)], "no input 'z'; it has 'x'"),
            ([good, good], "twice"),
            ([Tensor(name: "x", dataType: .fp32, shape: [2], elements: row)], "the shape is [2]"),
            ([Tensor(name: "x", dataType: .fp32, shape: [1, 3], elements: row + [3])], "takes [-1, 2]"),
            ([Tensor(name: "x", dataType: .fp32, shape: [2, 2], elements: row)], "8 bytes are not 4 elements"),
            ([Tensor(name: "x", dataType: .fp32, shape: [-1, 2], elements: row)], "not a shape"),
            ([Tensor(name: "x", dataType: .fp32, shape: [.max, 2], bytes: [])], "not a shape"),
            ([Tensor(name: "x", dataType: .bool, shape: [1, 2], bytes: [1, 0])], "BOOL"),
            ([Tensor(name: "x", dataType: .bytes, shape: [1, 2], bytes: [])], "BYTES"),
        ]
        for (inputs, words) in cases {
            let error = #expect(throws: AerieError.self) { try model.infer(inputs) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "") should say \(words)")
        }
    }

    @Test("Values that the model's type cannot hold, and malformed texts, are told")
    func wrongValues() throws {
        let model = try load("types.onnx")
        func inputs(_ changed: Tensor) -> [Tensor] {
            model.description.inputs.map { spec in
                if spec.name == changed.name { return changed }
                let size = spec.dataType.byteCount ?? 5
                let bytes = spec.dataType == .bytes ? bytes(["x"]) : Array(repeating: 0, count: size)
                return Tensor(name: spec.name, dataType: spec.dataType, shape: [1], bytes: bytes)
            }
        }
        let cases: [(Tensor, String)] = [
            (Tensor(name: "in_INT32", dataType: .int64, shape: [1], elements: [Int64.max]), "does not fit"),
            (Tensor(name: "in_UINT8", dataType: .int32, shape: [1], elements: [Int32(-1)]), "-1 does not fit"),
            (Tensor(name: "in_INT64", dataType: .fp64, shape: [1], elements: [0.5]), "FP64"),
            (Tensor(name: "in_STRING", dataType: .bytes, shape: [1], bytes: [9, 0, 0, 0, 65]), "beyond the end"),
            (Tensor(name: "in_STRING", dataType: .bytes, shape: [1], bytes: [9, 0]), "cut off"),
            (Tensor(name: "in_STRING", dataType: .bytes, shape: [2], bytes: bytes(["x"])), "1 elements"),
            (Tensor(name: "in_STRING", dataType: .bytes, shape: [1], bytes: bytes(["x\0y"])), "zero byte"),
        ]
        for (tensor, words) in cases {
            let error = #expect(throws: AerieError.self) { try model.infer(inputs(tensor)) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(words) == true, "\(error?.message ?? "") should say \(words)")
        }
    }

    @Test("An output without tensor form is left out with the reason; a model of nothing else is refused")
    func sequences() throws {
        let model = try #require(try load("sequence.onnx") as? ONNXModel)
        #expect(model.description.outputs.map(\.name) == ["y"])
        #expect(model.skippedOutputs.map(\.name) == ["list"])
        #expect(model.skippedOutputs[0].reason.contains("sequence"))
        let error = #expect(throws: AerieError.self) { try load("only_sequence.onnx") }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains("only_sequence.onnx") == true)
    }

    @Test("A graph that fails in the run is told in the library's words, and the model goes on")
    func failsInTheRun() throws {
        let model = try load("reshape.onnx")
        let error = #expect(throws: AerieError.self) {
            try model.infer([Tensor(name: "x", dataType: .fp32, shape: [5], elements: [Float](repeating: 0, count: 5))])
        }
        #expect(error?.code == .internal)
        #expect(error?.message.contains("Reshape") == true || error?.message.contains("reshape") == true)
        let right = try model.infer(
            [Tensor(name: "x", dataType: .fp32, shape: [6], elements: [1, 2, 3, 4, 5, 6] as [Float])])
        #expect(right[0].shape == [2, 3])
    }

    @Test("Many threads ask the same model at once and each gets its own answer")
    func concurrent() async throws {
        let model = try load("affine.onnx")
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for step in 0..<200 {
                        let x = Float(task * 1000 + step)
                        let input = Tensor(name: "x", dataType: .fp32, shape: [1, 2], elements: [x, 1])
                        if try model.infer([input])[0].elements(as: Float.self) != [2 * x - 2.5] { return false }
                    }
                    return true
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
    }

    @Test("A file cut anywhere is refused with the offset, and never crashes")
    func truncated() throws {
        let whole = try Data(contentsOf: URL(fileURLWithPath: Self.fixtures + "classifier.onnx"))
        let path = FileManager.default.temporaryDirectory.path + "/aerie-\(UUID().uuidString).onnx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        for length in stride(from: 0, to: whole.count, by: 7) {
            try whole.prefix(length).write(to: URL(fileURLWithPath: path))
            let error = #expect(throws: AerieError.self) { try ONNXFormat().load(file: path) }
            #expect(error?.code == .invalidArgument)
            #expect(error?.message.contains(path) == true)
            #expect(error?.details.first?.offset != nil, "\(length): \(error?.message ?? "")")
        }
    }

    @Test("Files with altered bytes give a model or an error, never a crash")
    func altered() throws {
        let whole = try Data(contentsOf: URL(fileURLWithPath: Self.fixtures + "affine.onnx"))
        let path = FileManager.default.temporaryDirectory.path + "/aerie-\(UUID().uuidString).onnx"
        defer { try? FileManager.default.removeItem(atPath: path) }
        var refused = 0
        for index in 0..<whole.count {
            var bytes = whole
            bytes[index] ^= 0xff
            try bytes.write(to: URL(fileURLWithPath: path))
            do throws(AerieError) {
                _ = try ONNXFormat().load(file: path)
            } catch {
                refused += 1
                #expect(error.message.contains(path))
            }
        }
        #expect(refused > whole.count / 2)
    }

    @Test("Files that are no models are told as what they are")
    func notModels() throws {
        let unknown = #expect(throws: AerieError.self) { try load("unknown_operator.onnx") }
        #expect(unknown?.message.contains("Telepathy") == true)
        let missing = #expect(throws: AerieError.self) { try load("nowhere.onnx") }
        #expect(missing?.code == .notFound)
        let folder = #expect(throws: AerieError.self) { try load("") }
        #expect(folder?.message.contains("not a file") == true)
        let script = #expect(throws: AerieError.self) { try load("make_fixtures.py") }
        #expect(script?.code == .invalidArgument)
    }

    @Test("A missing library is told with what it costs and the command that installs it")
    func missingLibrary() {
        let error = #expect(throws: AerieError.self) {
            try ONNXFormat(nativeFolder: "/nonexistent").load(file: Self.fixtures + "affine.onnx")
        }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("scripts/bootstrap") == true)
    }

    @Test("The library tells its version")
    func version() throws {
        #expect(try ONNXFormat.libraryVersion().hasPrefix("1."))
    }
}
