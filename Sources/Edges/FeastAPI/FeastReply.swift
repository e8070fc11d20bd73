import AerieJSON
import HTTPTypes
import Hummingbird
import NIOCore

/// An answer that either port can write.
struct FeastReply: Sendable {
    var status: Int
    var body: [UInt8]
    var isJSON: Bool

    static let empty = FeastReply(status: 200, body: [], isJSON: false)

    /// An error of HTTP itself, in the words of Feast's own server.
    static func detail(_ status: Int, _ text: String) -> FeastReply {
        let body: JSONValue = ["detail": .string(text)]
        return FeastReply(status: status, body: body.utf8(), isJSON: true)
    }

    /// The same for the control port.
    var response: Response {
        Response(
            status: .init(code: status), headers: isJSON ? [.contentType: "application/json"] : [:],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
    }
}
