import AerieCore
#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Checks that a file has the outer structure of an ONNX model, so that a truncated or foreign file is told with the
/// offset at which it breaks. What is inside the graph's parts is the library's to judge.
///
/// A model is a protobuf message: fields of a number and a wire type, among them the graph (7) and the sets of
/// operators (8), which both must be there.
enum ONNXStructure {
    private static let graphField: UInt64 = 7
    private static let operatorSetField: UInt64 = 8

    static func check(file path: String) throws(AerieError) {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let code: AerieError.Code = errno == ENOENT ? .notFound : .invalidArgument
            throw AerieError(code, "\(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0, info.st_mode & S_IFMT == S_IFREG else {
            throw AerieError(.invalidArgument, "\(path) is not a file")
        }
        let size = Int(info.st_size)
        if size == 0 { throw .invalid(path, "the file is empty", offset: 0) }
        guard let map = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), map != MAP_FAILED else {
            throw AerieError(.internal, "\(path): \(String(cString: strerror(errno)))")
        }
        defer { munmap(map, size) }
        let bytes = UnsafeRawBufferPointer(start: map, count: size)
        var seen: Set<UInt64> = []
        try walk(bytes, path, in: 0..<size, what: "the model") { (field, range) throws(AerieError) in
            seen.insert(field)
            guard field == graphField, let range else { return }
            try walk(bytes, path, in: range, what: "the graph") { (_, _) throws(AerieError) in }
        }
        if !seen.contains(graphField) {
            throw .invalid(path, "no graph up to byte \(size), so this is no ONNX model", offset: size)
        }
        if !seen.contains(operatorSetField) {
            throw .invalid(path, "no operator set up to byte \(size), so this is no ONNX model", offset: size)
        }
    }

    /// Calls `visit` for each field, with the range of its bytes if it has a length.
    private static func walk(
        _ bytes: UnsafeRawBufferPointer, _ path: String, in range: Range<Int>, what: String,
        _ visit: (UInt64, Range<Int>?) throws(AerieError) -> Void
    ) throws(AerieError) {
        var offset = range.lowerBound
        while offset < range.upperBound {
            let start = offset
            guard let tag = varint(bytes, &offset, range.upperBound), tag >> 3 > 0 else {
                throw broken(path, what, "no field begins here", start)
            }
            var content: Range<Int>?
            var length: UInt64 = 0
            switch tag & 7 {
            case 0:
                guard varint(bytes, &offset, range.upperBound) != nil else {
                    throw broken(path, what, "a number does not end", start)
                }
            case 1: length = 8
            case 5: length = 4
            case 2:
                guard let given = varint(bytes, &offset, range.upperBound) else {
                    throw broken(path, what, "a length does not end", start)
                }
                length = given
            default: throw broken(path, what, "wire type \(tag & 7) does not exist in ONNX", start)
            }
            guard length <= UInt64(range.upperBound - offset) else {
                let excess = length - UInt64(range.upperBound - offset)
                throw broken(
                    path, what,
                    "a field of \(length) bytes goes \(excess) bytes beyond the end (the file is cut or altered)", start)
            }
            if tag & 7 == 2 { content = offset..<offset + Int(length) }
            offset += Int(length)
            try visit(tag >> 3, content)
        }
    }

    private static func broken(_ path: String, _ what: String, _ problem: String, _ offset: Int) -> AerieError {
        .invalid(path, "\(what) is malformed at byte \(offset): \(problem)", offset: offset)
    }

    private static func varint(_ bytes: UnsafeRawBufferPointer, _ offset: inout Int, _ end: Int) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while offset < end, shift < 64 {
            let byte = bytes[offset]
            offset += 1
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        return nil
    }
}
