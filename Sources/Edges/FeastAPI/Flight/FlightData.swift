import AerieArrow
import AerieCore
import AerieJSON
import AerieWire
import NIOCore

/// `FlightData` of Arrow Flight: `{1: descriptor, 2: header of an Arrow message, 1000: its body}`.
/// Format: arrow.apache.org, "Arrow Flight RPC".
struct FlightData {
    /// The descriptor's command, JSON as Feast's SDK writes it.
    var command: [UInt8]?
    var message: ArrowMessage?

    init(_ buffer: ByteBuffer) throws(AerieError) {
        let read = buffer.withUnsafeReadableBytes { bytes -> Result<FlightData, AerieError> in
            do throws(AerieError) { return .success(try FlightData(bytes)) } catch { return .failure(error) }
        }
        self = try read.get()
    }

    private init(_ bytes: UnsafeRawBufferPointer) throws(AerieError) {
        var (header, body): ([UInt8], [UInt8]) = ([], [])
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): command = try ProtobufMessage(bytes: try reader.delimited()).data(2)
            case (2, 2): header = Array(try reader.delimited())
            case (1000, 2): body = Array(try reader.delimited())
            default: try reader.skip(field)
            }
        }
        if !header.isEmpty { message = try ArrowMessage(header: header, body: body) }
    }

    /// A message to send.
    static func buffer(header: [UInt8], body: [UInt8] = []) -> ByteBuffer {
        var writer = ProtobufWriter()
        writer.field(2, bytes: header)
        if !body.isEmpty { writer.field(1000, bytes: body) }
        return ByteBuffer(bytes: writer.bytes)
    }
}

/// What Feast's SDK asks of an offline store: the name of a method of its own, and that method's arguments.
struct FlightCommand: Sendable {
    let bytes: [UInt8]
    private let object: JSONObject

    init(_ bytes: [UInt8]) throws(AerieError) {
        self.bytes = bytes
        do throws(JSONError) {
            guard let object = try JSONValue.parse(bytes).object else {
                throw JSONError(offset: 0, problem: "an object was expected")
            }
            self.object = object
        } catch { throw error.asAerieError(in: "the flight's command") }
    }

    var api: String { object["api"]?.string ?? "" }

    func text(_ name: String) throws(AerieError) -> String {
        guard let text = object[name]?.string else { throw .invalid(name, "the command needs a text there") }
        return text
    }

    func optionalText(_ name: String) -> String? { object[name]?.string }
    func flag(_ name: String) -> Bool { object[name]?.bool ?? false }

    func texts(_ name: String) throws(AerieError) -> [String] {
        guard let list = object[name]?.array else { throw .invalid(name, "the command needs a list of texts there") }
        var texts: [String] = []
        for element in list {
            guard let text = element.string else { throw .invalid(name, "the command needs a list of texts there") }
            texts.append(text)
        }
        return texts
    }

    /// A list of the same length as another, in which there may be nothing.
    func optionalTexts(_ name: String) -> [String?] { object[name]?.array?.map(\.string) ?? [] }

    func time(_ name: String) throws(AerieError) -> Int64? {
        guard let text = optionalText(name) else { return nil }
        guard let micros = FlightCommand.micros(text) else { throw .invalid(name, "'\(text)' is no moment") }
        return micros
    }
}
