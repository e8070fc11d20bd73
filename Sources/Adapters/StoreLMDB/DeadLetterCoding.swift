import AerieCore
import AerieWire
import Streaming

/// A dead letter in the file, as a protobuf message: time 1, reason 2, origin 3, content 4.
enum DeadLetterCoding {
    static func encode(_ letter: DeadLetter) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, varint: UInt64(bitPattern: letter.time))
        writer.field(2, text: letter.reason)
        writer.field(3, text: letter.origin)
        writer.field(4, bytes: letter.content)
        return writer.bytes
    }

    static func decode(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> DeadLetter {
        var letter = DeadLetter(time: 0, reason: "", origin: "", content: [])
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() {
            switch field.number {
            case 1: letter.time = Int64(bitPattern: try reader.varint())
            case 2: letter.reason = try reader.text()
            case 3: letter.origin = try reader.text()
            case 4: letter.content = Array(try reader.delimited())
            default: try reader.skip(field)
            }
        }
        return letter
    }
}
