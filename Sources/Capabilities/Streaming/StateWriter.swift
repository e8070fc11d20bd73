/// Bytes that are written from front to back into memory that is large enough, without asking each time.
///
/// - Precondition: after `begin` no more is written than its capacity, which is checked at each write.
struct StateWriter: ~Copyable {
    private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 8)
    private var count = 0

    deinit { memory.deallocate() }

    /// Forgets what was written, and makes room for what comes.
    mutating func begin(capacity: Int) {
        count = 0
        guard capacity > memory.count else { return }
        memory.deallocate()
        memory = .allocate(byteCount: max(capacity, 2 * memory.count), alignment: 8)
    }

    mutating func byte(_ value: UInt8) {
        precondition(count < memory.count)
        memory[count] = value
        count += 1
    }

    mutating func fixed(_ value: UInt64) {
        precondition(count + 8 <= memory.count)
        memory.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
        count += 8
    }

    mutating func fixed(_ values: [UInt64]) {
        precondition(count + 8 * values.count <= memory.count)
        for value in values {
            memory.storeBytes(of: value.littleEndian, toByteOffset: count, as: UInt64.self)
            count += 8
        }
    }

    mutating func varint(_ value: UInt64) {
        var value = value
        while value >= 0x80 {
            byte(UInt8(truncatingIfNeeded: value) | 0x80)
            value >>= 7
        }
        byte(UInt8(truncatingIfNeeded: value))
    }

    func bytes() -> [UInt8] { Array(memory[..<count]) }
    func bytes(followedBy last: UInt8) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + 1)
        bytes.append(contentsOf: memory[..<count])
        bytes.append(last)
        return bytes
    }
}
