import AerieHTTP

extension HTTPExchange {
    /// The value of a header field that no route looks at by itself; `nil` where it is not there.
    /// - Parameters:
    ///   - name: in lower case.
    ///   - request: the request's bytes from its first.
    func header(_ name: String, in request: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let name = Array(name.utf8)
        var at = 0
        while at < head.end {
            var end = at
            while end < head.end, request[end] != UInt8(ascii: "\r") { end += 1 }
            if end - at > name.count, request[at + name.count] == UInt8(ascii: ":"),
                Self.isEqual(request, at, name)
            {
                var start = at + name.count + 1
                while start < end, request[start] == 0x20 || request[start] == 0x09 { start += 1 }
                var last = end
                while last > start, request[last - 1] == 0x20 || request[last - 1] == 0x09 { last -= 1 }
                return UnsafeRawBufferPointer(rebasing: request[start..<last])
            }
            at = end + 2
        }
        return nil
    }

    private static func isEqual(_ request: UnsafeRawBufferPointer, _ start: Int, _ name: [UInt8]) -> Bool {
        for index in name.indices {
            var byte = request[start + index]
            if byte >= UInt8(ascii: "A"), byte <= UInt8(ascii: "Z") { byte |= 0x20 }
            if byte != name[index] { return false }
        }
        return true
    }
}
