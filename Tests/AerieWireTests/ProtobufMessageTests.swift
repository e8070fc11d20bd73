import AerieCore
import Testing

@testable import AerieWire

@Suite("A protobuf message that is kept")
struct ProtobufMessageTests {
    /// Fields 1 (varint), 2 (text), 3 (fixed32), 4 (fixed64), 2 again, 9 (a message).
    private let bytes: [UInt8] =
        [0x08, 0x96, 0x01, 0x12, 0x01, 0x61, 0x1d, 1, 2, 3, 4, 0x21, 1, 2, 3, 4, 5, 6, 7, 8, 0x12, 0x01, 0x62]
        + [0x4a, 0x02, 0x08, 0x05]

    @Test("goes out as it came in, unknown fields and their order too")
    func roundTrip() throws {
        let message = try ProtobufMessage(bytes: bytes)
        #expect(message.bytes == bytes)
        #expect(message.number(1) == 150 && message.text(2) == "b" && message.texts(2) == ["a", "b"])
        #expect(try message.message(9)?.number(1) == 5)
        #expect(message.number(2) == 0 && message.text(1) == "" && message.data(7) == nil)
    }

    @Test("a field is replaced where it stood, and taken away when it is empty")
    func changes() throws {
        var message = try ProtobufMessage(bytes: bytes)
        message.set(2, text: "new")
        #expect(message.texts(2) == ["new"] && message.fields.map(\.number) == [1, 2, 3, 4, 9])
        message.set(1, number: 0)
        message.set(9, message: nil)
        #expect(message.fields.map(\.number) == [2, 3, 4])
        message.append(5, map: [("k", "v"), ("l", "")])
        #expect(try message.map(5).map { "\($0.key)=\($0.value)" } == ["k=v", "l="])
    }

    @Test("bytes that are cut short are refused at their place, at every place")
    func cuts() {
        let whole: Set = [0, 3, 6, 11, 20, 23, bytes.count]
        for count in 0...bytes.count {
            do throws(AerieError) {
                _ = try ProtobufMessage(bytes: bytes[..<count])
                #expect(whole.contains(count), "cut at \(count)")
            } catch {
                #expect(error.code == .invalidArgument && !whole.contains(count), "cut at \(count)")
            }
        }
    }
}
