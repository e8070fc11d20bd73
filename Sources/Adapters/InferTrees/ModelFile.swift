import AerieCore
import AerieJSON

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A model file in memory, with a zero byte behind its end so that C's number readers stop there.
final class ModelFile {
    let path: String
    let bytes: UnsafeRawBufferPointer
    private let storage: UnsafeMutableRawPointer

    /// Reads the whole file. What it costs is the file's size, which is checked against `maximumBytes` first.
    init(path: String, maximumBytes: Int = 2 << 30) throws(AerieError) {
        self.path = path
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            let reason = String(cString: strerror(errno))
            throw AerieError(errno == ENOENT ? .notFound : .failedPrecondition, "\(path): cannot be opened: \(reason)")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw AerieError.invalid(path, "is not a file")
        }
        let size = Int(status.st_size)
        guard size <= maximumBytes else {
            throw AerieError(.resourceExhausted, "\(path): \(size) bytes are more than a model's \(maximumBytes)")
        }
        guard let storage = malloc(size + 1) else {
            throw AerieError(.resourceExhausted, "\(path): no memory for its \(size) bytes")
        }
        var filled = 0
        while filled < size {
            let count = read(descriptor, storage + filled, size - filled)
            if count < 0 && errno == EINTR { continue }
            if count <= 0 { break }
            filled += count
        }
        storage.storeBytes(of: 0, toByteOffset: filled, as: UInt8.self)
        self.storage = storage
        bytes = UnsafeRawBufferPointer(start: storage, count: filled)
    }

    /// The same over bytes that are in memory already, copied.
    init(name: String, copying content: [UInt8]) {
        path = name
        let storage = malloc(content.count + 1)!
        content.withUnsafeBytes { if let base = $0.baseAddress { memcpy(storage, base, content.count) } }
        storage.storeBytes(of: 0, toByteOffset: content.count, as: UInt8.self)
        self.storage = storage
        bytes = UnsafeRawBufferPointer(start: storage, count: content.count)
    }

    deinit { free(storage) }
}

/// What is wrong with a model file, and where.
struct ModelFileError: Error {
    var code = AerieError.Code.invalidArgument
    /// Bytes from the beginning of the file.
    var offset: Int
    var problem: String

    init(_ offset: Int, _ problem: String) {
        self.offset = offset
        self.problem = problem
    }

    init(_ error: JSONError) { self.init(error.offset, error.problem) }

    /// A part of the format that is known and not carried out.
    static func unsupported(_ offset: Int, _ what: String) -> ModelFileError {
        var error = ModelFileError(offset, "\(what) is not supported")
        error.code = .unsupported
        return error
    }

    func asAerieError(in path: String) -> AerieError {
        AerieError(
            code, "\(path): \(problem) at byte \(offset)",
            details: [.init(field: path, problem: problem, offset: offset)])
    }
}
