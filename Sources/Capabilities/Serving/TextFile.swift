import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Small files of a model's folder, read without Foundation.
enum TextFile {
    /// - Throws: `notFound`, or `resourceExhausted` past the limit.
    static func read(_ path: String, maximumBytes: Int) throws(AerieError) -> String {
        let bytes = try head(path, count: maximumBytes + 1)
        guard bytes.count <= maximumBytes else {
            throw AerieError(.resourceExhausted, "\(path): more than \(maximumBytes) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw AerieError(.invalidArgument, "\(path): is not UTF-8 text")
        }
        return text
    }

    /// The first bytes, fewer if the file is shorter.
    static func head(_ path: String, count: Int) throws(AerieError) -> [UInt8] {
        guard let file = fopen(path, "rb") else {
            let reason = String(cString: strerror(errno))
            throw AerieError(errno == ENOENT ? .notFound : .failedPrecondition, "\(path): cannot be opened: \(reason)")
        }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var block = [UInt8](repeating: 0, count: min(count, 65536))
        while bytes.count < count {
            let read = fread(&block, 1, min(block.count, count - bytes.count), file)
            if read == 0 { break }
            bytes.append(contentsOf: block[0..<read])
        }
        return bytes
    }

    /// With every link followed; `nil` if it is not there.
    static func realPath(_ path: String) -> String? {
        guard let resolved = realpath(path, nil) else { return nil }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
