/// Rows as one event loop has read them, under their keys on the server and the numbers of the commands that read them.
///
/// One ring of memory, which is taken at the beginning and filled as rows come: a new row takes the place of the
/// oldest. An old one that was read since it was written is written again instead (CLOCK, of Corbató's "A paging
/// experiment with the Multics system", 1968), a few for each new one. Nothing is allocated. A lookup waits twice for
/// the memory, for the bucket and for the row; of the rows of a read, which are brought all at once (`bring`), none
/// waits for another. One thread at a time.
final class RowCache {
    /// Before a row's key, the ends of its values, and the values.
    fileprivate struct Head {
        /// With all that belongs to the row, in bytes; a multiple of eight.
        var size: UInt32
        /// The next row of the same bucket, as buckets have it.
        var next: UInt32
        var keyCount: UInt16
        var valueCount: UInt16
        var isLive: Bool
        /// Since it was written.
        var wasRead: Bool
        var isFound: Bool
        var command: UInt64
        var time: Int64
    }

    /// A row that is kept; valid until the cache changes.
    struct Row {
        fileprivate let head: UnsafePointer<Head>

        /// All that belongs to it, in words of eight bytes, from which it can be made again.
        var words: UnsafeBufferPointer<UInt64> {
            let start = UnsafeRawPointer(head).assumingMemoryBound(to: UInt64.self)
            return UnsafeBufferPointer(start: start, count: Int(head.pointee.size) / 8)
        }

        fileprivate init(head: UnsafePointer<Head>) { self.head = head }

        init(words: UnsafePointer<UInt64>) { head = UnsafeRawPointer(words).assumingMemoryBound(to: Head.self) }

        /// Whether the server knew the entity.
        var isFound: Bool { head.pointee.isFound }
        var time: Int64 { head.pointee.time }
        var valueCount: Int { Int(head.pointee.valueCount) }

        fileprivate var key: UnsafeRawBufferPointer {
            UnsafeRawBufferPointer(start: UnsafeRawPointer(head + 1), count: Int(head.pointee.keyCount))
        }

        /// Tells each value, of a row that was found; empty for a null.
        func forEach(_ body: (Int, UnsafeRawBufferPointer) -> Void) {
            let ends = UnsafeRawPointer(head + 1) + Int(head.pointee.keyCount)
            let values = ends + 4 * valueCount
            var start = 0
            for place in 0..<valueCount {
                let end = Int(ends.loadUnaligned(fromByteOffset: 4 * place, as: UInt32.self))
                body(place, UnsafeRawBufferPointer(start: values + start, count: end - start))
                start = end
            }
        }
    }

    private let capacity: Int
    private let memory: UnsafeMutableRawPointer
    /// For each bucket its first row, in units of eight bytes and one more; 0 for none.
    private let buckets: UnsafeMutablePointer<UInt32>
    private let mask: Int
    /// So that nobody can choose keys which all fall into one bucket.
    private let seed: UInt64

    /// Where the next row goes. Rows lie from `oldest` to `end` and from the beginning to `head` if the ring has been
    /// gone round, and else from the beginning to `head`.
    private var head = 0
    private var oldest = 0
    private var end = 0
    private var isRound = false

    /// For each key that was brought last the first row of its bucket.
    private var firsts: [UInt32] = []
    /// So that what is brought is not passed over as of no use.
    private var brought: UInt64 = 0

    /// Bytes of the rows that are kept.
    private(set) var usedBytes = 0
    /// Rows that were given up for others.
    private(set) var evicted = 0

    /// Old rows that may be kept for each new one.
    private static let chances = 8
    /// A row may take that part of the memory.
    private static let share = 16
    private static let cacheLine = 64

    /// - Parameter bytes: of memory; 4 KB at least, 16 GB at most.
    init(bytes: Int) {
        capacity = min(max(bytes, 4096), 16 << 30) & ~7
        // The line behind the first of a row may be behind the last row.
        memory = .allocate(byteCount: capacity + Self.cacheLine, alignment: 8)
        // A bucket for each 128 bytes or more, which is less than most rows have.
        var count = 16
        while count * 256 <= capacity { count *= 2 }
        buckets = .allocate(capacity: count)
        buckets.initialize(repeating: 0, count: count)
        mask = count - 1
        seed = .random(in: .min ... .max)
    }

    deinit {
        memory.deallocate()
        buckets.deallocate()
    }

    /// Brings the first rows of these keys' buckets near the processor, for `find` by their numbers before anything
    /// changes.
    /// - Parameter ends: of each key in `keys`.
    func bring(_ keys: UnsafeRawBufferPointer, ends: [Int]) {
        firsts.removeAll(keepingCapacity: true)
        var start = 0
        for end in ends {
            firsts.append(UInt32(truncatingIfNeeded: bucket(UnsafeRawBufferPointer(rebasing: keys[start..<end]))))
            start = end
        }
        // Nothing stands between these that would wait for one before the next is asked for.
        for number in firsts.indices { firsts[number] = buckets[Int(firsts[number])] }
        var sum: UInt64 = 0
        for first in firsts where first != 0 {
            let place = Int(first - 1) * 8
            sum &+= memory.load(fromByteOffset: place, as: UInt64.self)
            sum &+= memory.load(fromByteOffset: place + Self.cacheLine, as: UInt64.self)
        }
        brought = sum
    }

    /// The row of a key, by its number among those that were brought last, as that command read it.
    func find(_ number: Int, _ key: UnsafeRawBufferPointer, _ command: UInt64) -> Row? {
        guard let place = place(key, command, first: firsts[number]) else { return nil }
        let row = row(place)
        row.pointee.wasRead = true
        return Row(head: row)
    }

    /// Keeps a row that is not kept yet.
    /// - Parameter value: its values by number, empty for a null; of a row that was found.
    func keep(
        _ key: UnsafeRawBufferPointer, _ command: UInt64, isFound: Bool, time: Int64, valueCount: Int,
        _ value: (Int) -> UnsafeRawBufferPointer
    ) {
        let count = isFound ? valueCount : 0
        guard key.count <= UInt16.max, count <= UInt16.max, place(key, command, first: buckets[bucket(key)]) == nil
        else { return }
        var length = MemoryLayout<Head>.size + key.count + 4 * count
        for place in 0..<count { length += value(place).count }
        let size = (length + 7) & ~7
        guard size <= capacity / Self.share else { return }
        let at = room(size)
        let bucket = bucket(key)
        row(at).initialize(
            to: Head(
                size: UInt32(size), next: buckets[bucket], keyCount: UInt16(key.count), valueCount: UInt16(count),
                isLive: true, wasRead: false, isFound: isFound, command: command, time: time))
        var room = memory + at + MemoryLayout<Head>.size
        func put(_ bytes: UnsafeRawBufferPointer) {
            if let start = bytes.baseAddress { room.copyMemory(from: start, byteCount: bytes.count) }
            room += bytes.count
        }
        put(key)
        let ends = room
        room += 4 * count
        let values = room
        for place in 0..<count {
            put(value(place))
            ends.storeBytes(of: UInt32(room - values), toByteOffset: 4 * place, as: UInt32.self)
        }
        buckets[bucket] = UInt32(at / 8 + 1)
        head = at + size
        usedBytes += size
    }

    /// Forgets what was read under a key, by any command.
    func remove(_ key: UnsafeRawBufferPointer) {
        let bucket = bucket(key)
        var next = buckets[bucket]
        while next != 0 {
            let place = Int(next - 1) * 8
            next = row(place).pointee.next
            if Self.equals(Row(head: row(place)).key, key) { unlink(place, bucket) }
        }
    }

    func removeAll() {
        buckets.update(repeating: 0, count: mask + 1)
        (head, oldest, end, isRound, usedBytes) = (0, 0, 0, false, 0)
    }

    // MARK: The ring

    private func row(_ place: Int) -> UnsafeMutablePointer<Head> {
        (memory + place).assumingMemoryBound(to: Head.self)
    }

    /// Where so many bytes are free, behind the newest row.
    private func room(_ size: Int) -> Int {
        var chances = Self.chances
        while true {
            if !isRound {
                if head + size <= capacity { return head }
                (end, head, isRound) = (head, 0, true)
            }
            if head + size <= oldest { return head }
            passOldest(&chances)
        }
    }

    /// Gives the oldest row up, or writes it again behind the newest.
    private func passOldest(_ chances: inout Int) {
        let row = row(oldest)
        let size = Int(row.pointee.size)
        if row.pointee.isLive {
            let bucket = bucket(Row(head: row).key)
            if row.pointee.wasRead, chances > 0 {
                chances -= 1
                row.pointee.wasRead = false
                replace(oldest, in: bucket, by: UInt32(head / 8 + 1))
                // What is free lies before it.
                (memory + head).copyMemory(from: memory + oldest, byteCount: size)
                head += size
            } else {
                unlink(oldest, bucket)
                evicted += 1
            }
        }
        oldest += size
        if oldest == end { (oldest, isRound) = (0, false) }
    }

    // MARK: Buckets

    private func place(_ key: UnsafeRawBufferPointer, _ command: UInt64, first: UInt32) -> Int? {
        var next = first
        while next != 0 {
            let place = Int(next - 1) * 8
            let row = row(place)
            if row.pointee.command == command, Self.equals(Row(head: row).key, key) { return place }
            next = row.pointee.next
        }
        return nil
    }

    private func unlink(_ place: Int, _ bucket: Int) {
        let row = row(place)
        replace(place, in: bucket, by: row.pointee.next)
        row.pointee.isLive = false
        usedBytes -= Int(row.pointee.size)
    }

    private func replace(_ place: Int, in bucket: Int, by other: UInt32) {
        let wanted = UInt32(place / 8 + 1)
        if buckets[bucket] == wanted {
            buckets[bucket] = other
            return
        }
        var next = buckets[bucket]
        while next != 0 {
            let row = row(Int(next - 1) * 8)
            next = row.pointee.next
            if next == wanted {
                row.pointee.next = other
                return
            }
        }
    }

    /// Eight bytes at a time, each multiplied with what came before and folded (as in wyhash, public domain).
    private func bucket(_ key: UnsafeRawBufferPointer) -> Int {
        var sum = seed ^ UInt64(truncatingIfNeeded: key.count)
        var at = 0
        while key.count - at >= 8 {
            sum = Self.fold(sum ^ key.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            at += 8
        }
        var rest: UInt64 = 0
        while at < key.count {
            rest = rest << 8 | UInt64(key[at])
            at += 1
        }
        return Int(truncatingIfNeeded: Self.fold(sum ^ rest)) & mask
    }

    private static func fold(_ number: UInt64) -> UInt64 {
        let (high, low) = number.multipliedFullWidth(by: 0x9e37_79b9_7f4a_7c15)
        return high ^ low
    }

    private static func equals(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
        guard one.count == other.count else { return false }
        var at = 0
        while one.count - at >= 8 {
            guard
                one.loadUnaligned(fromByteOffset: at, as: UInt64.self)
                    == other.loadUnaligned(fromByteOffset: at, as: UInt64.self)
            else { return false }
            at += 8
        }
        while at < one.count {
            guard one[at] == other[at] else { return false }
            at += 1
        }
        return true
    }
}
