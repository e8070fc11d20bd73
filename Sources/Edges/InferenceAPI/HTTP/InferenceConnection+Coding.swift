import AerieCore
import AerieHTTP
import NIOCore

/// Compressed bodies, both ways. Off the hot path: who asks for it trades the server's time for the network's.
extension InferenceConnection {
    /// Shorter answers are sent as they are.
    private static let shortestPacked = 1024
    /// What is unpacked on the loop at most; more goes to the pool.
    private static let unpackedHere = 1 << 20

    /// Unpacks the body and answers the request.
    func answerPacked(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: Range<Int>
    ) {
        let name = UnsafeRawBufferPointer(rebasing: request[exchange.head.contentEncoding])
        guard let coder = state.options.coder, let coding = contentCoding(name) else {
            let text = String(decoding: name.prefix(40), as: UTF8.self)
            return writeError(415, "Content-Encoding \(text) is not carried out; send gzip, deflate or plain", exchange)
        }
        let packed = UnsafeRawBufferPointer(rebasing: request[body])
        let limit = state.options.http.limits.bodyBytes
        do throws(AerieError) {
            let bytes = try coder.unpack(packed, coding, limit: min(limit, Self.unpackedHere))
            bytes.withUnsafeBytes { dispatch(exchange, route, request, $0) }
        } catch {
            guard error.code == .resourceExhausted, limit > Self.unpackedHere else { return refuse(error, exchange) }
            unpackLater(exchange, Array(request[..<body.upperBound]), body, coder, coding)
        }
    }

    /// 413 for a body that is too long, as for one that came as it is.
    private func refuse(_ error: AerieError, _ exchange: HTTPExchange) {
        if error.code == .resourceExhausted { return writeError(413, error.message, exchange) }
        writeError(error, exchange)
    }

    private func unpackLater(
        _ exchange: HTTPExchange, _ request: [UInt8], _ body: Range<Int>, _ coder: any ContentCoder,
        _ coding: ContentCoding
    ) {
        let (eventLoop, limit) = (state.eventLoop, state.options.http.limits.bodyBytes)
        do throws(AerieError) {
            try state.pool.submit { [self] in
                let result = request.withUnsafeBytes { bytes -> Result<[UInt8], AerieError> in
                    let packed = UnsafeRawBufferPointer(rebasing: bytes[body])
                    return Result { () throws(AerieError) in try coder.unpack(packed, coding, limit: limit) }
                }
                eventLoop.execute {
                    self.complete(exchange) {
                        switch result {
                        case .success(let bytes):
                            request.withUnsafeBytes { request in
                                let path = UnsafeRawBufferPointer(rebasing: request[exchange.head.path])
                                bytes.withUnsafeBytes { self.dispatch(exchange, HTTPRoute(path), request, $0) }
                            }
                        case .failure(let error): self.refuse(error, exchange)
                        }
                    }
                }
            }
            isBusy = true
        } catch { writeError(error, exchange) }
    }

    /// Packs the answer that was just written behind `start`, if its client takes that and it is long enough.
    ///
    /// The head's last field is the length, whose digits stand at its end: see `HTTPAnswer`.
    func packAnswer(from start: Int, _ exchange: HTTPExchange, _ coding: ContentCoding) {
        guard let coder = state.options.coder, exchange.head.method != .head,
            let written = state.out.viewBytes(at: start, length: state.out.writerIndex - start),
            let headEnd = written.firstRange(of: [0x0d, 0x0a, 0x0d, 0x0a])?.lowerBound,
            written.endIndex - headEnd - 4 >= Self.shortestPacked, written.starts(with: Array("HTTP/1.1 200".utf8)),
            let body = state.out.getBytes(at: headEnd + 4, length: state.out.writerIndex - headEnd - 4),
            let packed = body.withUnsafeBytes({ try? coder.pack($0, coding) }),
            packed.count < body.count
        else { return }
        let lengthField = Array("Content-Length:".utf8)
        guard let field = written.lastRange(of: lengthField, before: headEnd) else { return }
        state.out.moveWriterIndex(to: field)
        state.out.writeString("Content-Encoding: \(coding.rawValue)\r\nVary: Accept-Encoding\r\n")
        state.out.writeString("Content-Length: \(packed.count)\r\n\r\n")
        state.out.writeBytes(packed)
    }
}

extension ByteBufferView {
    /// Where `word` last begins before `end`.
    fileprivate func lastRange(of word: [UInt8], before end: Int) -> Int? {
        var at = end - word.count
        while at >= startIndex {
            if self[at..<(at + word.count)].elementsEqual(word) { return at }
            at -= 1
        }
        return nil
    }
}

/// `gzip`, `x-gzip` or `deflate`; `nil` for all else.
func contentCoding(_ name: UnsafeRawBufferPointer) -> ContentCoding? {
    if equalsIgnoringCase(name, "gzip") || equalsIgnoringCase(name, "x-gzip") { return .gzip }
    return equalsIgnoringCase(name, "deflate") ? .deflate : nil
}

/// The coding that a client takes by its `Accept-Encoding`: gzip where it takes both; `nil` where it takes none. No
/// allocation: most clients send the field with every request.
func acceptedCoding(_ header: UnsafeRawBufferPointer) -> ContentCoding? {
    var accepted: ContentCoding?
    var start = 0
    while start < header.count {
        let end = header[start...].firstIndex(of: UInt8(ascii: ",")) ?? header.count
        let entry = header[start..<end]
        start = end + 1
        let nameEnd = entry.firstIndex(of: UInt8(ascii: ";")) ?? end
        if isRefused(entry[nameEnd...]) { continue }
        let name = trimmed(entry[..<nameEnd])
        if name.elementsEqual("*".utf8) { return .gzip }
        switch contentCoding(name) {
        case .gzip: return .gzip
        case .deflate: accepted = .deflate
        case nil: break
        }
    }
    return accepted
}

/// Whether the parameters behind a coding's name give it no weight: `;q=0`, or with up to three further zeros.
private func isRefused(_ parameters: Slice<UnsafeRawBufferPointer>) -> Bool {
    var rest = parameters
    while let semicolon = rest.firstIndex(of: UInt8(ascii: ";")) {
        let next = rest[(semicolon + 1)...].firstIndex(of: UInt8(ascii: ";")) ?? rest.endIndex
        let parameter = trimmed(rest[(semicolon + 1)..<next])
        rest = rest[next...]
        guard parameter.count > 2, parameter[0] | 0x20 == UInt8(ascii: "q"), parameter[1] == UInt8(ascii: "=") else {
            continue
        }
        if parameter.dropFirst(2).allSatisfy({ $0 == UInt8(ascii: "0") || $0 == UInt8(ascii: ".") }) { return true }
    }
    return false
}

private func trimmed(_ bytes: Slice<UnsafeRawBufferPointer>) -> UnsafeRawBufferPointer {
    var bytes = bytes
    while let first = bytes.first, first == 0x20 || first == 0x09 { bytes.removeFirst() }
    while let last = bytes.last, last == 0x20 || last == 0x09 { bytes.removeLast() }
    return UnsafeRawBufferPointer(rebasing: bytes)
}
