public import AerieCore
import CZlib

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// gzip and deflate by zlib.
public struct ZlibCoder: ContentCoder {
    /// Fast rather than small: a body is packed while its client waits.
    private static let level: Int32 = 1

    /// Opens the library.
    /// - Throws: `unavailable` if it is missing.
    public init() throws(AerieError) {
        if let problem = czlib_load() {
            throw AerieError(
                .unavailable,
                "zlib is not available: \(String(cString: problem)). It is needed for compressed requests and answers. "
                    + "`scripts/bootstrap` installs it.", reason: "native.zlib")
        }
    }

    public func unpack(
        _ bytes: UnsafeRawBufferPointer, _ coding: ContentCoding, limit: Int
    ) throws(AerieError) -> [UInt8] {
        let (code, unpacked) = unpack(bytes, window: 47, limit: limit)
        if let unpacked { return unpacked }
        if code == CZLIB_MALFORMED, coding == .deflate, let bare = unpack(bytes, window: -15, limit: limit).bytes {
            return bare
        }
        if code == CZLIB_TOO_LONG {
            throw AerieError(.resourceExhausted, "the body is longer than \(limit) bytes when it is unpacked")
        }
        if code == CZLIB_NO_MEMORY { throw Self.noMemory }
        throw .invalid("", "the body is not whole \(coding.rawValue)")
    }

    public func pack(_ bytes: UnsafeRawBufferPointer, _ coding: ContentCoding) throws(AerieError) -> [UInt8] {
        var output: UnsafeMutableRawPointer?
        var size = 0
        let code = czlib_pack(bytes.baseAddress, bytes.count, coding == .gzip ? 31 : 15, Self.level, &output, &size)
        defer { free(output) }
        guard code == CZLIB_DONE, let output else { throw Self.noMemory }
        return Array(UnsafeRawBufferPointer(start: output, count: size))
    }

    private static let noMemory = AerieError(.resourceExhausted, "there is no memory to pack or unpack a body")

    private func unpack(_ bytes: UnsafeRawBufferPointer, window: Int32, limit: Int) -> (code: Int32, bytes: [UInt8]?) {
        var output: UnsafeMutableRawPointer?
        var size = 0
        let code = czlib_unpack(bytes.baseAddress, bytes.count, window, limit, &output, &size)
        defer { free(output) }
        guard code == CZLIB_DONE, let output else { return (code, nil) }
        return (code, Array(UnsafeRawBufferPointer(start: output, count: size)))
    }
}
