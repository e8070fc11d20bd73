/// The first part of a request, with places counted from the request's first byte. Holds no memory of its own.
struct HTTPHead {
    enum Method { case get, head, post, options, other }

    var method = Method.other
    /// The path without query, and the query without its mark.
    var path = 0..<0
    var query = 0..<0
    var isHTTP10 = false
    var keepsAlive = true
    var hasHost = false
    var contentLength: Int?
    var isChunked = false
    var expectsContinue = false
    /// Values of the header fields that routes look at; empty where the field is not there.
    var contentEncoding = 0..<0
    var inferenceHeaderLength = 0..<0
    var seldonModel = 0..<0
    var seldonPuid = 0..<0
    /// Where the head ends, its empty line read.
    var end = 0
}

/// Why a request cannot be read: the status to answer with before the connection is closed.
struct HTTPFailure: Error, Equatable {
    var status: Int
    var message: String
}
