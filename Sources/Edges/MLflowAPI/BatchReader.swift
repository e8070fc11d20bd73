import AerieCore
import AerieJSON
import Experiments
import NIOCore

/// Reads the body of `log-batch`, the one call that comes by the thousands a second, straight into a batch.
///
/// It knows the form that the Python client writes and nothing else: known fields, each once, numbers as numbers, no
/// escapes beyond JSON's own. Anything else is `nil`, and is read again with the care that tells what is wrong with it.
enum BatchReader {
    static func read(_ body: ByteBuffer) -> RunBatch? {
        body.withUnsafeReadableBytes { bytes in
            var reader = JSONReader(bytes, allowsNonFinite: true)
            do throws(JSONError) {
                let batch = try batch(&reader)
                try reader.end()
                return batch
            } catch { return nil }
        }
    }

    private static func batch(_ reader: inout JSONReader) throws(JSONError) -> RunBatch? {
        var batch = RunBatch(runID: RunID(""))
        var seen = Seen()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "run_id"), seen.once(0) {
                batch.runID = RunID(try reader.readString())
            } else if reader.matches(key, "metrics"), seen.once(1) {
                batch.metrics.reserveCapacity(16)
                try reader.beginArray()
                while try reader.nextElement() {
                    guard let metric = try metric(&reader) else { return nil }
                    batch.metrics.append(metric)
                }
            } else if reader.matches(key, "params"), seen.once(2) {
                guard let pairs = try pairs(&reader) else { return nil }
                batch.params = pairs.map { Param(key: $0, value: $1) }
            } else if reader.matches(key, "tags"), seen.once(3) {
                guard let pairs = try pairs(&reader) else { return nil }
                batch.tags = pairs.map { Tag(key: $0, value: $1) }
            } else {
                return nil
            }
        }
        return batch.runID.text.isEmpty ? nil : batch
    }

    private static func metric(_ reader: inout JSONReader) throws(JSONError) -> Metric? {
        var metric = Metric(key: "", value: 0, timestamp: Timestamp(milliseconds: 0))
        var seen = Seen()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "key"), seen.once(0) {
                metric.key = try reader.readString()
            } else if reader.matches(key, "value"), seen.once(1) {
                guard try reader.peek() == .number else { return nil }
                metric.value = try reader.readDouble()
            } else if reader.matches(key, "timestamp"), seen.once(2) {
                guard let time = try whole(&reader) else { return nil }
                metric.timestamp = Timestamp(milliseconds: time)
            } else if reader.matches(key, "step"), seen.once(3) {
                guard let step = try whole(&reader) else { return nil }
                metric.step = step
            } else {
                return nil
            }
        }
        return seen.has(0b111) && !metric.key.isEmpty ? metric : nil
    }

    private static func pairs(_ reader: inout JSONReader) throws(JSONError) -> [(String, String)]? {
        var pairs: [(String, String)] = []
        try reader.beginArray()
        while try reader.nextElement() {
            var name = ""
            var value = ""
            var seen = Seen()
            try reader.beginObject()
            while let key = try reader.nextKey() {
                guard try reader.peek() == .string else { return nil }
                if reader.matches(key, "key"), seen.once(0) {
                    name = try reader.readString()
                } else if reader.matches(key, "value"), seen.once(1) {
                    value = try reader.readString()
                } else {
                    return nil
                }
            }
            guard !name.isEmpty, seen.has(0b11) else { return nil }
            pairs.append((name, value))
        }
        return pairs
    }

    /// Protobuf's JSON writes 64-bit numbers as text, and clients write both.
    private static func whole(_ reader: inout JSONReader) throws(JSONError) -> Int64? {
        switch try reader.peek() {
        case .number: return try reader.readInt()
        case .string: return Int64(try reader.readString())
        default: return nil
        }
    }
}

/// Which fields of an object have been there.
private struct Seen {
    private var bits: UInt8 = 0

    /// Notes the field; false if it was there already.
    mutating func once(_ field: UInt8) -> Bool {
        defer { bits |= 1 << field }
        return bits & 1 << field == 0
    }

    func has(_ mask: UInt8) -> Bool { bits & mask == mask }
}
