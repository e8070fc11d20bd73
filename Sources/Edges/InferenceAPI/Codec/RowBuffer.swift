import AerieData

/// Growing memory for numbers that keeps what it has between requests, so that the steady state allocates nothing.
/// Aligned to 64 bytes. Belongs to one event loop.
final class RowBuffer {
    private(set) var base: UnsafeMutableRawPointer
    private(set) var capacity: Int
    /// Bytes in use.
    private(set) var count = 0
    /// What is kept after a large request; more is given back.
    private static let kept = 1 << 20

    init(capacity: Int = 4096) {
        self.capacity = capacity
        base = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { base.deallocate() }

    /// Forgets the contents, and gives back memory that one large request needed.
    func clear() {
        count = 0
        if capacity > Self.kept {
            base.deallocate()
            capacity = Self.kept
            base = .allocate(byteCount: capacity, alignment: 64)
        }
    }

    /// Makes room for that many bytes in all and counts them as used; what was there stays.
    func resize(to bytes: Int) {
        if bytes > capacity { grow(to: bytes) }
        count = bytes
    }

    @inline(__always)
    func append<Element: BitwiseCopyable>(_ element: Element) {
        let end = count + MemoryLayout<Element>.stride
        if end > capacity { grow(to: end) }
        base.storeBytes(of: element, toByteOffset: count, as: Element.self)
        count = end
    }

    /// Room for `limit` elements at the end, of which `fill` says how many it has set; the others are no part of it.
    @inline(__always)
    func append<Element: BitwiseCopyable>(
        atMost limit: Int, of _: Element.Type, _ fill: (UnsafeMutablePointer<Element>) -> Int
    ) -> Int {
        let stride = MemoryLayout<Element>.stride
        if count + limit * stride > capacity { grow(to: count + limit * stride) }
        let filled = fill((base + count).assumingMemoryBound(to: Element.self))
        count += filled * stride
        return filled
    }

    func append(contentsOf bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0 else { return }
        let start = count
        resize(to: start + bytes.count)
        (base + start).copyMemory(from: source, byteCount: bytes.count)
    }

    private func grow(to bytes: Int) {
        let larger = max(bytes, capacity * 2)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 64)
        moved.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = moved
        capacity = larger
    }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }
}
