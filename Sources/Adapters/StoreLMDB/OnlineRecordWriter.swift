import AerieCore
import AerieWire
import Features

/// Lays rows out as `OnlineRecordCoding` reads them, one after the other in the same room.
struct OnlineRecordWriter {
    /// The row that was written last.
    private(set) var bytes: [UInt8] = []
    private var value = ProtobufWriter()

    /// - Parameters:
    ///   - old: the row that is there, whose values stay where the new one says nothing.
    ///   - keepsKey: the row's name does not say its key.
    mutating func encode(
        _ row: OnlineRow, fields: [UInt32], old: OnlineRecordCoding?, keepsKey: Bool
    ) throws(AerieError) {
        bytes.removeAll(keepingCapacity: true)
        bytes.append(OnlineRecordCoding.version)
        append(row.time)
        append(row.created)
        let countPlace = bytes.count
        append(UInt16(0))
        var count: UInt16 = 0
        for index in row.values.indices {
            guard let said = row.values[index] else { continue }
            value.clear()
            said.write(to: &value)
            append(fields[index])
            append(UInt32(value.bytes.count))
            bytes.append(contentsOf: value.bytes)
            count += 1
        }
        try old?.forEach { field, value throws(AerieError) in
            let isSaid = row.values.indices.contains { fields[$0] == field && row.values[$0] != nil }
            if isSaid { return }
            append(field)
            append(UInt32(value.count))
            bytes.append(contentsOf: value)
            count += 1
        }
        if keepsKey { bytes.append(contentsOf: row.key) }
        bytes[countPlace] = UInt8(truncatingIfNeeded: count)
        bytes[countPlace + 1] = UInt8(truncatingIfNeeded: count >> 8)
    }

    private mutating func append(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
    }
}
