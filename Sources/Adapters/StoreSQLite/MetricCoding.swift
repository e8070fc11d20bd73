import AerieCore
import Experiments

/// Metrics as bytes: what a call logged to one run (a batch), and values of one metric (a segment).
///
/// Whole numbers are the difference to the point before, zigzag, in 7-bit groups, so that a step and a timestamp take a
/// byte or two each; a value is its eight bytes, little-endian; text is its length and its UTF-8. A segment stands for
/// itself: a history is grown by putting one behind the other.
enum MetricCoding {
    private static let version: UInt8 = 1

    static func batch(_ metrics: [Metric]) -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(16 + metrics.count * 28)
        writer.byte(version)
        writer.number(UInt64(metrics.count))
        var last = MetricPoint(step: 0, timestamp: 0, value: 0)
        for metric in metrics {
            let point = MetricPoint(metric)
            writer.text(metric.key)
            writer.point(point, after: last, withOrigin: true)
            last = point
        }
        return writer.bytes
    }

    /// - Parameter body: takes each point with the UTF-8 of its key, which is only there for the call.
    /// - Throws: `dataLoss` for bytes that no version of Aerie wrote.
    static func readBatch(
        _ bytes: UnsafeRawBufferPointer, _ body: (UnsafeRawBufferPointer, MetricPoint) -> Void
    ) throws(AerieError) {
        var reader = ByteReader(bytes)
        guard try reader.byte() == version else { throw ByteReader.damaged }
        var last = MetricPoint(step: 0, timestamp: 0, value: 0)
        for _ in 0..<(try reader.number()) {
            let key = try reader.utf8()
            let point = try reader.point(after: last, withOrigin: true)
            body(key, point)
            last = point
        }
    }

    static func segment(_ points: ArraySlice<MetricPoint>) -> [UInt8] {
        var writer = ByteWriter()
        writer.bytes.reserveCapacity(8 + points.count * 12)
        let withOrigin = points.contains { $0.origin != nil }
        writer.number(UInt64(points.count) << 1 | (withOrigin ? 1 : 0))
        var last = MetricPoint(step: 0, timestamp: 0, value: 0)
        for point in points {
            writer.point(point, after: last, withOrigin: withOrigin)
            last = point
        }
        return writer.bytes
    }

    /// Appends the points of all segments in the bytes.
    static func readSegments(_ bytes: UnsafeRawBufferPointer, into points: inout [MetricPoint]) throws(AerieError) {
        var reader = ByteReader(bytes)
        while !reader.isAtEnd {
            let head = try reader.number()
            var last = MetricPoint(step: 0, timestamp: 0, value: 0)
            for _ in 0..<(head >> 1) {
                last = try reader.point(after: last, withOrigin: head & 1 == 1)
                points.append(last)
            }
        }
    }
}

private struct ByteWriter {
    var bytes: [UInt8] = []

    mutating func byte(_ value: UInt8) { bytes.append(value) }

    mutating func number(_ value: UInt64) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func difference(_ value: Int64, _ last: Int64) {
        let difference = value &- last
        number(UInt64(bitPattern: difference << 1 ^ difference >> 63))
    }

    mutating func text(_ text: String) {
        var text = text
        text.withUTF8 { utf8 in
            number(UInt64(utf8.count))
            bytes.append(contentsOf: utf8)
        }
    }

    mutating func point(_ point: MetricPoint, after last: MetricPoint, withOrigin: Bool) {
        difference(point.step, last.step)
        difference(point.timestamp, last.timestamp)
        withUnsafeBytes(of: point.value.bitPattern.littleEndian) { bytes.append(contentsOf: $0) }
        guard withOrigin else { return }
        let parts = [point.origin?.modelID, point.origin?.datasetName, point.origin?.datasetDigest]
        guard point.origin != nil else { return byte(0) }
        byte(parts.enumerated().reduce(0) { $0 | ($1.element == nil ? 0 : 1 << UInt8($1.offset)) })
        for case let part? in parts { text(part) }
    }
}

private struct ByteReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0

    static let damaged = AerieError(.dataLoss, "the metadata database is damaged: a metric's history cannot be read")

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    var isAtEnd: Bool { offset >= bytes.count }

    mutating func byte() throws(AerieError) -> UInt8 {
        guard offset < bytes.count else { throw Self.damaged }
        defer { offset += 1 }
        return bytes[offset]
    }

    mutating func number() throws(AerieError) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while true {
            let next = try byte()
            guard shift < 64 else { throw Self.damaged }
            value |= UInt64(next & 0x7f) << shift
            if next < 0x80 { return value }
            shift += 7
        }
    }

    mutating func difference(_ last: Int64) throws(AerieError) -> Int64 {
        let number = try number()
        return last &+ (Int64(bitPattern: number >> 1) ^ -Int64(bitPattern: number & 1))
    }

    mutating func utf8() throws(AerieError) -> UnsafeRawBufferPointer {
        let count = try number()
        guard count <= UInt64(bytes.count - offset) else { throw Self.damaged }
        defer { offset += Int(count) }
        return UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + Int(count)])
    }

    mutating func text() throws(AerieError) -> String { String(decoding: try utf8(), as: UTF8.self) }

    mutating func point(after last: MetricPoint, withOrigin: Bool) throws(AerieError) -> MetricPoint {
        let step = try difference(last.step)
        let timestamp = try difference(last.timestamp)
        guard bytes.count - offset >= 8 else { throw Self.damaged }
        let bits = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self))
        offset += 8
        var point = MetricPoint(step: step, timestamp: timestamp, value: Double(bitPattern: bits))
        guard withOrigin else { return point }
        let parts = try byte()
        guard parts != 0 else { return point }
        point.origin = MetricPoint.Origin(
            modelID: parts & 1 != 0 ? try text() : nil, datasetName: parts & 2 != 0 ? try text() : nil,
            datasetDigest: parts & 4 != 0 ? try text() : nil)
        return point
    }
}
