import AerieCore
import AerieData
import NIOCore
import Testing

@testable import InferenceAPI

@Suite("The protobuf codec")
struct ProtobufTests {
    private func request(raw: Bool) -> ByteBuffer {
        var writer = ProtobufWriter()
        writer.text(1, "fraud".utf8)
        writer.text(3, "id-1".utf8)
        writer.message(5) { input in
            input.text(1, "input".utf8)
            input.text(2, "FP32".utf8)
            input.packed(3, [2, 3])
            if !raw {
                input.message(5) { contents in
                    let numbers: [Float] = [1, 2, 3, 4, 5, 6]
                    numbers.withUnsafeBytes { contents.bytes(6, $0) }
                }
            }
        }
        if raw {
            let numbers: [Float] = [1, 2, 3, 4, 5, 6]
            numbers.withUnsafeBytes { writer.bytes(7, $0) }
        }
        return writer.buffer
    }

    private func read(_ bytes: [UInt8]) throws(AerieError) -> [Float] {
        let result = bytes.withUnsafeBytes { message -> Result<[Float], AerieError> in
            do throws(AerieError) {
                let scratch = InferScratch()
                _ = try ModelInferReader(message, into: scratch)
                try BinaryTensors.readRaw(in: scratch, rowType: .fp32)
                let elements = scratch.elements.bytes.bindMemory(to: Float.self)
                return .success(Array(elements))
            } catch { return .failure(error) }
        }
        return try result.get()
    }

    @Test("Raw and typed contents are read as the same numbers")
    func contents() throws {
        for raw in [true, false] {
            let numbers = try read(Array(request(raw: raw).readableBytesView))
            #expect(numbers == [1, 2, 3, 4, 5, 6])
        }
    }

    @Test("A message cut at any byte is an error or lacks its end, and never a crash")
    func truncations() {
        for raw in [true, false] {
            let bytes = Array(request(raw: raw).readableBytesView)
            for count in 0..<bytes.count {
                let numbers = try? read(Array(bytes[..<count]))
                #expect(numbers == nil, "cut at \(count)")
            }
        }
    }

    @Test("Changed bytes never crash the reader")
    func changes() {
        var generator = SeededGenerator(state: 3)
        let bytes = Array(request(raw: false).readableBytesView)
        var errors = 0
        for _ in 0..<5000 {
            var changed = bytes
            changed[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            do { _ = try read(changed) } catch { errors += 1 }
        }
        #expect(errors > 500)
    }

    @Test("Nested messages longer than 127 bytes get a longer length")
    func longMessages() throws {
        for size in [0, 1, 127, 128, 300, 20000] {
            var writer = ProtobufWriter()
            writer.message(4) { $0.text(1, [UInt8](repeating: 7, count: size)) }
            writer.number(2, UInt64.max)
            let bytes = Array(writer.buffer.readableBytesView)
            let seen = try bytes.withUnsafeBytes { raw -> [UInt64] in
                var reader = ProtobufReader(raw)
                guard let first = try reader.next() else { return [] }
                var inner = ProtobufReader(try reader.delimited(first))
                var count = 0
                if let field = try inner.next() { count = try inner.delimited(field).count }
                guard let second = try reader.next() else { return [] }
                let value = try reader.varint()
                let isAtEnd = try reader.next() == nil
                return [UInt64(first.number), UInt64(count), UInt64(second.number), value, isAtEnd ? 1 : 0]
            }
            #expect(seen == [4, UInt64(size), 2, UInt64.max, 1])
        }
    }

    @Test(
        "Half precision widens exactly",
        arguments: [
            (UInt16(0x3c00), Float(1)), (0xc000, -2), (0x0001, 0x1p-24), (0x7bff, 65504), (0x7c00, .infinity),
            (0x8000, -0.0),
        ])
    func halves(_ half: UInt16, _ expected: Float) { #expect(floatFromHalf(half) == expected) }
}
