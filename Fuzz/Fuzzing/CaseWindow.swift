#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A file in the memory of two processes: the one that runs the cases writes each input there before it runs it, so
/// that the other can name the input when the first one has ended without a word.
final class CaseWindow {
    private static let headBytes = 4096
    private let base: UnsafeMutableRawPointer
    private let capacity: Int

    /// - Parameter maximumBytes: the longest input.
    init(path: String, maximumBytes: Int) throws(FuzzFinding) {
        capacity = maximumBytes
        let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw FuzzFinding("\(path): \(String(cString: strerror(errno)))") }
        defer { close(descriptor) }
        let size = Self.headBytes + maximumBytes
        guard ftruncate(descriptor, off_t(size)) == 0,
            let map = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0), map != MAP_FAILED
        else { throw FuzzFinding("\(path): \(String(cString: strerror(errno)))") }
        base = map
    }

    deinit { munmap(base, Self.headBytes + capacity) }

    /// Inputs begun so far, from 1; 0 before the first.
    var sequence: Int { Int(base.load(as: UInt64.self)) }

    /// The input that was begun last.
    var input: [UInt8] {
        let count = min(capacity, Int(base.load(fromByteOffset: 8, as: UInt64.self)))
        return Array(UnsafeRawBufferPointer(start: base + Self.headBytes, count: count))
    }

    /// What is wrong with it, by the word of the process that ran it.
    var words: String {
        let count = min(2048, Int(base.load(fromByteOffset: 16, as: UInt64.self)))
        return String(decoding: UnsafeRawBufferPointer(start: base + 64, count: count), as: UTF8.self)
    }

    func begin(_ input: [UInt8]) {
        let count = min(capacity, input.count)
        input.withUnsafeBytes { if count > 0 { memcpy(base + Self.headBytes, $0.baseAddress!, count) } }
        base.storeBytes(of: UInt64(count), toByteOffset: 8, as: UInt64.self)
        base.storeBytes(of: UInt64(sequence + 1), as: UInt64.self)
    }

    func tell(_ words: String) {
        let bytes = Array(words.utf8.prefix(2048))
        bytes.withUnsafeBytes { if bytes.count > 0 { memcpy(base + 64, $0.baseAddress!, bytes.count) } }
        base.storeBytes(of: UInt64(bytes.count), toByteOffset: 16, as: UInt64.self)
    }
}
