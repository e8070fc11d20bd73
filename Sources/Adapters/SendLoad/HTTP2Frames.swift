import NIOCore

/// The few frames of HTTP/2 (RFC 9113) that a client with a fixed request needs, as bytes.
enum HTTP2Frames {
    enum Kind {
        static let data: UInt8 = 0
        static let headers: UInt8 = 1
        static let reset: UInt8 = 3
        static let settings: UInt8 = 4
        static let ping: UInt8 = 6
        static let goAway: UInt8 = 7
        static let windowUpdate: UInt8 = 8
        static let continuation: UInt8 = 9
    }

    enum Flag {
        static let endStream: UInt8 = 1
        static let acknowledge: UInt8 = 1
        static let endHeaders: UInt8 = 4
        static let padded: UInt8 = 8
        static let priority: UInt8 = 0x20
    }

    static let largestWindow = Int32.max
    static let headLength = 9

    /// Preface, settings and a receive window that never stands in the way. The header table has no entries, so that
    /// each block of headers can be read, or passed over, by itself.
    static var opening: ByteBuffer {
        var out = ByteBuffer(string: "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        writeHead(length: 24, Kind.settings, flags: 0, stream: 0, to: &out)
        for (setting, value) in [(1, 0), (2, 0), (4, UInt32(largestWindow)), (5, 1 << 20)] as [(UInt16, UInt32)] {
            out.writeInteger(setting)
            out.writeInteger(value)
        }
        writeWindowUpdate(stream: 0, by: UInt32(largestWindow) - 65_535, to: &out)
        return out
    }

    static func writeHead(length: Int, _ kind: UInt8, flags: UInt8, stream: UInt32, to out: inout ByteBuffer) {
        out.writeInteger(UInt32(length) << 8 | UInt32(kind))
        out.writeInteger(flags)
        out.writeInteger(stream)
    }

    static func writeWindowUpdate(stream: UInt32, by count: UInt32, to out: inout ByteBuffer) {
        writeHead(length: 4, Kind.windowUpdate, flags: 0, stream: stream, to: &out)
        out.writeInteger(count)
    }

    /// The headers of a gRPC call, each a literal that is never put into a table (RFC 7541, 6.2.2), or an index of the
    /// static table.
    static func callHeaders(method: String, authority: String) -> [UInt8] {
        func length(_ count: Int) -> [UInt8] {
            guard count >= 127 else { return [UInt8(count)] }
            var bytes: [UInt8] = [127]
            var rest = count - 127
            while rest >= 128 {
                bytes.append(UInt8(rest & 127) | 128)
                rest >>= 7
            }
            return bytes + [UInt8(rest)]
        }
        func text(_ value: String) -> [UInt8] { length(value.utf8.count) + Array(value.utf8) }
        // :method POST is 3 and :scheme http is 6 of the static table; :path is 4, :authority 1, content-type 31.
        return [0x83, 0x86] + [0x04] + text(method) + [0x01] + text(authority)
            + [0x0f, 0x10] + text("application/grpc") + [0x00] + text("te") + text("trailers")
    }
}
