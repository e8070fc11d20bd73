import Features
import NIOCore

/// The parts of an HMGET that do not change from entity to entity.
struct ReadCommand {
    /// Up to the length of the key, and from behind the key.
    let head: [UInt8]
    let project: [UInt8]
    let tail: [UInt8]

    init(_ view: OnlineView, fields: [UInt32]) {
        head = Array("*\(fields.count + 3)\r\n$5\r\nHMGET\r\n$".utf8)
        project = Array(view.project.utf8)
        var tail = Array("\r\n".utf8)
        for word in fields.map(RedisOnlineStore.field) + [RedisOnlineStore.timeField(view)] {
            tail += Array("$\(word.count)\r\n".utf8) + word + Array("\r\n".utf8)
        }
        self.tail = tail
    }

    func write(_ key: UnsafeRawBufferPointer, into out: inout ByteBuffer) {
        let length = key.count + project.count
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: head.count + length + tail.count + 24) { room in
            var end = 0
            func put(_ bytes: UnsafeRawBufferPointer) {
                UnsafeMutableRawBufferPointer(rebasing: room[end...]).copyMemory(from: bytes)
                end += bytes.count
            }
            head.withUnsafeBytes(put)
            var digits = 1
            var rest = length
            while rest >= 10 { (rest, digits) = (rest / 10, digits + 1) }
            rest = length
            for place in stride(from: end + digits - 1, through: end, by: -1) {
                room[place] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
            end += digits
            (room[end], room[end + 1]) = (0x0d, 0x0a)
            end += 2
            put(key)
            project.withUnsafeBytes(put)
            tail.withUnsafeBytes(put)
            return end
        }
    }
}

/// The commands of the layouts that were used last.
struct CommandCache {
    private var places: [(layout: OnlineLayout, commands: [ReadCommand])?] = Array(repeating: nil, count: 256)

    mutating func find(_ layout: OnlineLayout) -> [ReadCommand] {
        let place = (UInt(bitPattern: ObjectIdentifier(layout)) >> 5) & 255
        if let known = places[Int(place)], known.layout === layout { return known.commands }
        let commands = layout.parts.map { ReadCommand($0.view, fields: $0.fields) }
        places[Int(place)] = (layout, commands)
        return commands
    }
}
