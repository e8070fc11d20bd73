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

    /// - Parameter ends: a list that is used again: for each part where its rows' statuses and times stand.
    /// - Returns: false if a stored value is damaged; what is written is then of no use.
    func write(to out: inout ByteBuffer, ends: inout [Range<Int>]) -> Bool {
        ends.removeAll(keepingCapacity: true)
        for _ in plan.layout.parts { ends.append(0..<0) }
        var isWhole = true
        out.writeWithUnsafeMutableBytes(minimumWritableBytes: room) { memory in
            var cursor = ByteCursor(memory.baseAddress!)
            isWhole = write(&cursor, &ends)
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

    private func write(_ out: inout ByteCursor, _ ends: inout [Range<Int>]) -> Bool {
        out.put("{\"results\":[")
        for place in plan.layout.keys.indices {
            if place > 0 { out.put(byte: UInt8(ascii: ",")) }
            writeKey(place, &out)
        }
        for (place, output) in plan.layout.outputs.enumerated() {
            if place > 0 || !plan.layout.keys.isEmpty { out.put(byte: UInt8(ascii: ",")) }
            guard write(output, plan.fallbacks[place], &out, &ends[output.part]) else { return false }
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

    /// - Parameter end: what follows the values, which is the same for all features of a row; empty before the first.
    private func write(
        _ output: OnlineLayout.Output, _ fallback: [UInt8], _ out: inout ByteCursor, _ end: inout Range<Int>
    ) -> Bool {
        let part = output.part
        out.put("{\"values\":[")
        for entity in 0..<lookups.count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            if failure != nil {
                out.put(fallback)
            } else if !lookups.isFound(part: part, entity: entity) {
                out.put("null")
            } else if !out.put(value: lookups.value(part: part, entity: entity, field: output.place)) {
                return false
            }
        }
        if !end.isEmpty {
            out.put(again: end)
            return true
        }
        let start = out.count
        writeEnd(part, &out)
        end = start..<out.count
        return true
    }

    private func writeEnd(_ part: Int, _ out: inout ByteCursor) {
        out.put("],\"statuses\":[")
        for entity in 0..<lookups.count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            let isFound = failure == nil && lookups.isFound(part: part, entity: entity)
            isFound ? out.put("\"PRESENT\"") : out.put("\"NOT_FOUND\"")
        }
        out.put("],\"event_timestamps\":[")
        for entity in 0..<lookups.count {
            if entity > 0 { out.put(byte: UInt8(ascii: ",")) }
            if failure == nil, lookups.isFound(part: part, entity: entity) {
                out.put(moment: lookups.row(part: part, entity: entity).time)
            } else {
                out.put(Self.epoch)
            }
        }
        out.put("]}")
    }
}
