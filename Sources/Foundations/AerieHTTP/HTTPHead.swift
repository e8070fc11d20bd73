/// The first part of a request, with places counted from the request's first byte. Holds no memory of its own.
public struct HTTPHead: Sendable {
    public enum Method: Sendable { case get, head, post, options, other }

    public var method = Method.other
    /// The path without query, and the query without its mark.
    public var path = 0..<0
    public var query = 0..<0
    public var isHTTP10 = false
    public var keepsAlive = true
    var hasHost = false
    public var contentLength: Int?
    var isChunked = false
    var expectsContinue = false
    /// Empty where the field is not there.
    public var contentEncoding = 0..<0
    public var acceptEncoding = 0..<0
    /// Values of the fields that were asked for, in the order of `HTTPFieldNames`; `0..<0` where one is not there.
    public var asked = (0..<0, 0..<0, 0..<0, 0..<0)
    /// Where the head ends, its empty line read.
    public var end = 0

    public init() {}
}

/// The header fields that a protocol looks at besides those of HTTP itself; each may be given once. In lower case.
public struct HTTPFieldNames: Sendable {
    var first: StaticString?
    var second: StaticString?
    var third: StaticString?
    var fourth: StaticString?

    public init(
        _ first: StaticString? = nil, _ second: StaticString? = nil, _ third: StaticString? = nil,
        _ fourth: StaticString? = nil
    ) {
        self.first = first
        self.second = second
        self.third = third
        self.fourth = fourth
    }
}

/// Why a request cannot be read: the status to answer with before the connection is closed.
public struct HTTPFailure: Error, Equatable {
    public var status: Int
    public var message: String
}
