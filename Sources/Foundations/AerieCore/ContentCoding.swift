/// The codings of HTTP's bodies and gRPC's messages.
public enum ContentCoding: String, Hashable, Sendable, CaseIterable {
    /// RFC 1952.
    case gzip
    /// RFC 1950, and RFC 1951 without its frame, which some clients send under the same name.
    case deflate
}

/// Packs and unpacks bodies. Declared here as it is needed by every edge; an adapter brings the library.
///
/// Contract: each call is complete in itself and safe from any thread. Blocking, for about 10 ms a megabyte.
public protocol ContentCoder: Sendable {
    /// - Throws: `invalidArgument` for bytes that are not whole and of that coding; `resourceExhausted` for more than
    ///   `limit` bytes unpacked, found out before more are made.
    func unpack(_ bytes: UnsafeRawBufferPointer, _ coding: ContentCoding, limit: Int) throws(AerieError) -> [UInt8]

    /// - Throws: `resourceExhausted` where memory is short.
    func pack(_ bytes: UnsafeRawBufferPointer, _ coding: ContentCoding) throws(AerieError) -> [UInt8]
}
