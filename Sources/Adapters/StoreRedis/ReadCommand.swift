import Features
import NIOCore

/// The parts of an HMGET that do not change from entity to entity.
struct ReadCommand {
    /// Up to the length of the key, and from behind the key.
    let head: [UInt8]
    let project: [UInt8]
    let tail: [UInt8]
    /// Tells an event loop's commands apart: those with the same fields have the same.
    var number: UInt64 = 0

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
    /// By the project and the fields. A number is never given twice, though those of old commands are forgotten.
    private var numbers: [[UInt8]: UInt64] = [:]
    private var lastNumber: UInt64 = 0

    private static let numberLimit = 4096

    mutating func find(_ layout: OnlineLayout) -> [ReadCommand] {
        let place = (UInt(bitPattern: ObjectIdentifier(layout)) >> 5) & 255
        if let known = places[Int(place)], known.layout === layout { return known.commands }
        var commands = layout.parts.map { ReadCommand($0.view, fields: $0.fields) }
        for part in commands.indices { commands[part].number = number(commands[part]) }
        places[Int(place)] = (layout, commands)
        return commands
    }

    private mutating func number(_ command: ReadCommand) -> UInt64 {
        let name = command.project + command.tail
        if let known = numbers[name] { return known }
        if numbers.count == Self.numberLimit { numbers.removeAll() }
        lastNumber += 1
        numbers[name] = lastNumber
        return lastNumber
    }
}
