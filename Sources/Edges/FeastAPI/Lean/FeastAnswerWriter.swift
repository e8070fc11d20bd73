import Features
import NIOCore

/// Writes Feast's answer straight from where the values lie. The same bytes as `OnlineAnswerJSON` makes.
struct FeastAnswerWriter {
    let plan: FeastPlan
    let lookups: OnlineLookups
    let showsViews: Bool
    /// Why the values are not there; features' defaults then stand for them.
    let failure: String?

    private static let epoch: StaticString = "\"1970-01-01T00:00:00Z\""

    /// - Parameter moments: room that is used again: each row's time as text.
    /// - Returns: false if a stored value is damaged; what is written is then of no use.
    func write(to out: inout ByteBuffer, moments: inout Moments) -> Bool {
        if failure == nil { moments.fill(lookups) }
        var isWhole = true
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var cursor = ByteCursor(memory.baseAddress!)
            isWhole = write(&cursor, moments)
            return cursor.count
        }
        return isWhole
    }

    /// The most bytes that the answer may take.
    private var room: Int {
        let layout = plan.layout
        let columns = layout.keys.count + layout.outputs.count
        var room = plan.names.count + plan.views.count + 64 + columns * 64
        room += columns * lookups.count * (2 + 12 + 2 + ByteCursor.momentRoom)
        if let failure {
            room += 6 * failure.utf8.count + 32 + plan.fallbacks.reduce(0) { $0 + $1.count } * lookups.count
        }
        for entity in 0..<lookups.count {
            for place in layout.keys.indices {
                room += lookups.key(place, entity: entity) { 6 * $1.count + 24 }
            }
            if failure != nil { continue }
            for output in layout.outputs {
                let value = lookups.value(part: output.part, entity: entity, field: output.place)
                room += ByteCursor.room(for: value)
            }
        }
        return room
    }

    private func write(_ out: inout ByteCursor, _ moments: Moments) -> Bool {
        out.put("{\"results\":[")
        for place in plan.layout.keys.indices {
            if place > 0 { out.put(byte: UInt8(ascii: ",")) }
            writeKey(place, &out)
        }
        for (place, output) in plan.layout.outputs.enumerated() {
            if place > 0 || !plan.layout.keys.isEmpty { out.put(byte: UInt8(ascii: ",")) }
            guard write(output, plan.fallbacks[place], &out, moments) else { return false }
        }
        out.put(plan.names)
        if showsViews { out.put(plan.views) }
        if let failure {
            out.put(",\"degraded\":")
            var failure = failure
            failure.withUTF8 { out.put(quoted: UnsafeRawBufferPointer($0)) }
        }
        out.put("}}")
        return true
    }

    private func writeKey(_ place: Int, _ out: inout ByteCursor) {
        out.put("{\"values\":[")
        for entity in 0..<lookups.count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            lookups.key(place, entity: entity) { type, bytes in
                switch type {
                case 2: out.put(quoted: bytes)
                case 3: out.put(decimal: Int64(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self))))
                default: out.put(decimal: Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
                }
            }
        }
        out.put("],\"statuses\":[")
        for entity in 0..<lookups.count { entity > 0 ? out.put(",\"PRESENT\"") : out.put("\"PRESENT\"") }
        out.put("],\"event_timestamps\":[")
        for entity in 0..<lookups.count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            out.put(Self.epoch)
        }
        out.put("]}")
    }

    private func write(
        _ output: OnlineLayout.Output, _ fallback: [UInt8], _ out: inout ByteCursor, _ moments: Moments
    ) -> Bool {
        let (part, count) = (output.part, lookups.count)
        let isThere = failure == nil
        out.put("{\"values\":[")
        for entity in 0..<count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            if !isThere {
                out.put(fallback)
            } else if !lookups.row(part: part, entity: entity).isFound {
                out.put("null")
            } else if !out.put(value: lookups.value(part: part, entity: entity, field: output.place)) {
                return false
            }
        }
        out.put("],\"statuses\":[")
        for entity in 0..<count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            let isFound = isThere && lookups.row(part: part, entity: entity).isFound
            isFound ? out.put("\"PRESENT\"") : out.put("\"NOT_FOUND\"")
        }
        out.put("],\"event_timestamps\":[")
        for entity in 0..<count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            if isThere, lookups.row(part: part, entity: entity).isFound {
                moments.put(part * count + entity, into: &out)
            } else {
                out.put(Self.epoch)
            }
        }
        out.put("]}")
        return true
    }

    /// The text of each row's time, made once though every feature of the row shows it.
    struct Moments {
        private var text: [UInt8] = []
        private var ends: [Int] = []

        mutating func fill(_ lookups: OnlineLookups) {
            let rows = lookups.rows.count
            if text.count < rows * ByteCursor.momentRoom {
                text = [UInt8](repeating: 0, count: rows * ByteCursor.momentRoom)
                ends = [Int](repeating: 0, count: rows)
            }
            text.withUnsafeMutableBytes { room in
                for row in 0..<rows where lookups.rows[row].isFound {
                    let start = row * ByteCursor.momentRoom
                    var cursor = ByteCursor(room.baseAddress! + start)
                    cursor.put(moment: lookups.rows[row].time)
                    ends[row] = start + cursor.count
                }
            }
        }

        func put(_ row: Int, into out: inout ByteCursor) {
            text.withUnsafeBytes {
                out.put(UnsafeRawBufferPointer(rebasing: $0[(row * ByteCursor.momentRoom)..<ends[row]]))
            }
        }
    }
}
