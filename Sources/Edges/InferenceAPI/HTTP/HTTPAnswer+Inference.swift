import AerieHTTP
import NIOCore

extension HTTPAnswer {
    /// With the header fields that inference has beside HTTP's own.
    /// - Parameters:
    ///   - isSeldon: adds what Seldon's executor sends with every answer.
    ///   - lines: further fields, each with its line's end.
    init(
        _ status: Int, _ content: Content, keepsAlive: Bool, isHTTP10: Bool, puid: UnsafeRawBufferPointer? = nil,
        isSeldon: Bool = false, lines: [UInt8] = [], allow: StaticString? = nil, date: HTTPDate,
        into out: inout ByteBuffer
    ) {
        self.init(status, content, keepsAlive: keepsAlive, isHTTP10: isHTTP10, date: date, into: &out) { out in
            if isSeldon { out.writeStaticString("X-Content-Type-Options: nosniff\r\n") }
            if let puid, puid.count > 0 {
                out.writeStaticString("Seldon-Puid: ")
                out.writeBytes(puid)
                out.writeStaticString("\r\n")
            }
            if !lines.isEmpty { out.writeBytes(lines) }
            if let allow {
                out.writeStaticString("Allow: ")
                out.writeStaticString(allow)
                out.writeStaticString("\r\n")
            }
        }
    }
}
