#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Memory for one input whose end is the end of what may be read: the page behind it is not there.
final class GuardedInput {
    private let base: UnsafeMutableRawPointer
    private let capacity: Int
    private let page = Int(sysconf(Int32(_SC_PAGESIZE)))

    init(maximumBytes: Int) throws(FuzzFinding) {
        capacity = (maximumBytes / page + 1) * page
        let flags = MAP_PRIVATE | MAP_ANONYMOUS
        guard let map = mmap(nil, capacity + page, PROT_READ | PROT_WRITE, flags, -1, 0), map != MAP_FAILED,
            mprotect(map + capacity, page, PROT_NONE) == 0
        else { throw FuzzFinding("no memory for the inputs") }
        base = map
    }

    deinit { munmap(base, capacity + page) }

    func hold(_ input: [UInt8]) -> UnsafeRawBufferPointer {
        let count = min(input.count, capacity)
        let start = base + capacity - count
        input.withUnsafeBytes { if count > 0 { memcpy(start, $0.baseAddress!, count) } }
        return UnsafeRawBufferPointer(start: start, count: count)
    }
}
