import AerieCore
import CDuckDB
import Datasets

/// Gathers one column of a result, chunk by chunk.
struct DuckDBColumnReader {
    private enum Form: Sendable {
        case bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float, double, hugeint, uhugeint, text
        case date, timestamp, nothing
        /// A decimal stored as an integer type, to be divided by a power of ten.
        indirect case scaled(Form, divisor: Double)
        /// A timestamp whose unit is this many microseconds, or this fraction of one.
        case seconds, milliseconds, nanoseconds
    }

    private let form: Form
    private let name: String
    private let type: String
    private var values: SQLColumn.Values
    /// Stays empty until the first null.
    private var nulls: [Bool] = []
    private var count = 0

    var column: SQLColumn { SQLColumn(name: name, typeName: type, values: values, nulls: nulls) }

    /// Whether columns of the type are read as they are; the others are cast to text by the statement.
    static func reads(_ type: Int32) -> Bool { type == CDUCKDB_INVALID.int || plain(type) != nil || isDecimal(type) }

    init(_ result: inout cduckdb_result, column: UInt64) throws(AerieError) {
        name = cduckdb_column_name(&result, column).map { String(cString: $0) } ?? "column\(column)"
        let identifier = cduckdb_column_type(&result, column)
        if Self.isDecimal(identifier) {
            var width: Int32 = 0
            var scale: Int32 = 0
            var storage: Int32 = 0
            cduckdb_column_decimal(&result, column, &width, &scale, &storage)
            var divisor = 1.0
            for _ in 0..<scale { divisor *= 10 }
            form = .scaled(Self.plain(storage) ?? .hugeint, divisor: divisor)
            type = "DECIMAL(\(width),\(scale))"
        } else if let plain = Self.plain(identifier) {
            form = plain
            type = Self.typeName(identifier)
        } else {
            throw Self.unread(name, identifier)
        }
        values =
            switch form {
            case .bool: .bool([])
            case .int8, .int16, .int32, .int64, .uint8, .uint16, .uint32, .uint64: .int([])
            case .float, .double, .hugeint, .uhugeint, .scaled: .double([])
            case .text, .nothing: .text([])
            case .date, .timestamp, .seconds, .milliseconds, .nanoseconds: .timestamp([])
            }
    }

    mutating func append(
        _ data: UnsafeRawPointer?, _ validity: UnsafePointer<UInt64>?, count rows: Int
    ) throws(AerieError) {
        appendNulls(validity, rows)
        count += rows
        if case .nothing = form {
            return modifyText { $0.append(contentsOf: repeatElement("", count: rows)) }
        }
        guard let data else { throw AerieError(.internal, "DuckDB gives no data for column '\(name)'") }
        let isNull: (Int) -> Bool = { row in validity.map { $0[row >> 6] & (1 << UInt64(row & 63)) == 0 } ?? false }
        switch form {
        case .bool: appendBools(data, rows)
        case .int8: appendIntegers(data, rows, Int8.self)
        case .int16: appendIntegers(data, rows, Int16.self)
        case .int32: appendIntegers(data, rows, Int32.self)
        case .int64: appendIntegers(data, rows, Int64.self)
        case .uint8: appendIntegers(data, rows, UInt8.self)
        case .uint16: appendIntegers(data, rows, UInt16.self)
        case .uint32: appendIntegers(data, rows, UInt32.self)
        case .uint64: appendUnsigned(data, rows, isNull)
        case .text: appendTexts(data, rows, isNull)
        case .date: appendTimes(data.assumingMemoryBound(to: Int32.self), rows) { Self.times($0, 86_400_000_000) }
        case .timestamp: appendTimes(data.assumingMemoryBound(to: Int64.self), rows) { $0 }
        case .seconds: appendTimes(data.assumingMemoryBound(to: Int64.self), rows) { Self.times($0, 1_000_000) }
        case .milliseconds: appendTimes(data.assumingMemoryBound(to: Int64.self), rows) { Self.times($0, 1000) }
        case .nanoseconds: appendTimes(data.assumingMemoryBound(to: Int64.self), rows) { Self.floored($0) }
        case .scaled(let storage, let divisor): appendDoubles(data, rows, storage, divisor)
        default: appendDoubles(data, rows, form, 1)
        }
    }

    private mutating func appendNulls(_ validity: UnsafePointer<UInt64>?, _ rows: Int) {
        guard let validity else {
            if !nulls.isEmpty { nulls.append(contentsOf: repeatElement(false, count: rows)) }
            return
        }
        let new = (0..<rows).map { validity[$0 >> 6] & (1 << UInt64($0 & 63)) == 0 }
        if nulls.isEmpty {
            if !new.contains(true) { return }
            nulls = Array(repeating: false, count: count)
        }
        nulls.append(contentsOf: new)
    }

    private mutating func appendBools(_ data: UnsafeRawPointer, _ rows: Int) {
        guard case .bool(var list) = values else { return }
        values = .bool([])
        // As bytes: what stands in a null row need not be a valid Bool.
        list.append(contentsOf: UnsafeRawBufferPointer(start: data, count: rows).lazy.map { $0 & 1 == 1 })
        values = .bool(list)
    }

    private mutating func appendIntegers<T: FixedWidthInteger>(_ data: UnsafeRawPointer, _ rows: Int, _: T.Type) {
        guard case .int(var list) = values else { return }
        values = .int([])
        let source = UnsafeBufferPointer(start: data.assumingMemoryBound(to: T.self), count: rows)
        list.append(contentsOf: source.lazy.map { Int64(truncatingIfNeeded: $0) })
        values = .int(list)
    }

    /// Unsigned 64-bit numbers are integers until the first that does not fit, and doubles from then on.
    private mutating func appendUnsigned(_ data: UnsafeRawPointer, _ rows: Int, _ isNull: (Int) -> Bool) {
        let source = UnsafeBufferPointer(start: data.assumingMemoryBound(to: UInt64.self), count: rows)
        if case .int(let list) = values {
            let fits = source.indices.allSatisfy { source[$0] <= UInt64(Int64.max) || isNull($0) }
            if fits { return appendIntegers(data, rows, UInt64.self) }
            values = .double(list.map { Double($0) })
        }
        guard case .double(var list) = values else { return }
        values = .double([])
        list.append(contentsOf: source.lazy.map { Double($0) })
        values = .double(list)
    }

    private mutating func appendDoubles(_ data: UnsafeRawPointer, _ rows: Int, _ storage: Form, _ divisor: Double) {
        guard case .double(var list) = values else { return }
        values = .double([])
        list.reserveCapacity(list.count + rows)
        for row in 0..<rows {
            let value: Double =
                switch storage {
                case .float: Double(data.load(fromByteOffset: row * 4, as: Float.self))
                case .int16: Double(data.load(fromByteOffset: row * 2, as: Int16.self))
                case .int32: Double(data.load(fromByteOffset: row * 4, as: Int32.self))
                case .int64: Double(data.load(fromByteOffset: row * 8, as: Int64.self))
                case .hugeint: Self.hugeint(data + row * 16)
                case .uhugeint:
                    Double(data.load(fromByteOffset: row * 16 + 8, as: UInt64.self)) * 0x1p64
                        + Double(data.load(fromByteOffset: row * 16, as: UInt64.self))
                default: data.load(fromByteOffset: row * 8, as: Double.self)
                }
            list.append(value / divisor)
        }
        values = .double(list)
    }

    /// The lower half without sign, then the upper with it. What fits into 64 bits takes the short way.
    private static func hugeint(_ data: UnsafeRawPointer) -> Double {
        let lower = data.load(as: UInt64.self)
        let upper = data.load(fromByteOffset: 8, as: Int64.self)
        if upper == Int64(bitPattern: lower) >> 63 { return Double(Int64(bitPattern: lower)) }
        return Double(Int128(upper) << 64 | Int128(lower))
    }

    /// A text is 16 bytes: a length, then up to 12 bytes of text, or 4 of them and the address of the whole.
    private mutating func appendTexts(_ data: UnsafeRawPointer, _ rows: Int, _ isNull: (Int) -> Bool) {
        modifyText { list in
            list.reserveCapacity(list.count + rows)
            for row in 0..<rows {
                if isNull(row) {
                    list.append("")
                    continue
                }
                let entry = data + row * 16
                let length = Int(entry.load(as: UInt32.self))
                let start = length <= 12 ? entry + 4 : (entry + 8).load(as: UnsafeRawPointer.self)
                list.append(String(decoding: UnsafeRawBufferPointer(start: start, count: length), as: UTF8.self))
            }
        }
    }

    private mutating func modifyText(_ body: (inout [String]) -> Void) {
        guard case .text(var list) = values else { return }
        values = .text([])
        body(&list)
        values = .text(list)
    }

    private mutating func appendTimes<T>(_ data: UnsafePointer<T>, _ rows: Int, _ convert: (T) -> Int64) {
        guard case .timestamp(var list) = values else { return }
        values = .timestamp([])
        list.append(contentsOf: UnsafeBufferPointer(start: data, count: rows).lazy.map(convert))
        values = .timestamp(list)
    }

    /// `value * unit`, or the nearest number that fits: infinite dates and times stay the ends of the scale.
    private static func times<T: FixedWidthInteger>(_ value: T, _ unit: Int64) -> Int64 {
        let (product, overflow) = Int64(value).multipliedReportingOverflow(by: unit)
        return overflow ? (value < 0 ? .min : .max) : product
    }

    private static func floored(_ nanoseconds: Int64) -> Int64 {
        if nanoseconds == .max || nanoseconds == -.max { return nanoseconds }
        let (quotient, remainder) = nanoseconds.quotientAndRemainder(dividingBy: 1000)
        return remainder < 0 ? quotient - 1 : quotient
    }

    private static func isDecimal(_ type: Int32) -> Bool { type == CDUCKDB_DECIMAL.int }

    /// Whether values of the type are signed numbers of 64 bits in the library's memory.
    static func isWord(_ type: Int32) -> Bool {
        switch plain(type) {
        case .int64, .timestamp, .seconds, .milliseconds, .nanoseconds: true
        default: false
        }
    }

    private static func plain(_ type: Int32) -> Form? { types[type].flatMap(\.form) }

    static func unread(_ column: String, _ type: Int32) -> AerieError {
        AerieError(
            .invalidArgument, "column '\(column)' is of type \(typeName(type)); cast it to VARCHAR in the statement")
    }

    /// The library's SQL name of a type.
    static func typeName(_ type: Int32) -> String { types[type]?.name ?? "type \(type)" }

    private static let types: [Int32: (name: String, form: Form?)] = [
        CDUCKDB_INVALID.int: ("UNKNOWN", nil), CDUCKDB_BOOLEAN.int: ("BOOLEAN", .bool),
        CDUCKDB_TINYINT.int: ("TINYINT", .int8), CDUCKDB_SMALLINT.int: ("SMALLINT", .int16),
        CDUCKDB_INTEGER.int: ("INTEGER", .int32), CDUCKDB_BIGINT.int: ("BIGINT", .int64),
        CDUCKDB_UTINYINT.int: ("UTINYINT", .uint8), CDUCKDB_USMALLINT.int: ("USMALLINT", .uint16),
        CDUCKDB_UINTEGER.int: ("UINTEGER", .uint32), CDUCKDB_UBIGINT.int: ("UBIGINT", .uint64),
        CDUCKDB_FLOAT.int: ("FLOAT", .float), CDUCKDB_DOUBLE.int: ("DOUBLE", .double),
        CDUCKDB_HUGEINT.int: ("HUGEINT", .hugeint), CDUCKDB_UHUGEINT.int: ("UHUGEINT", .uhugeint),
        CDUCKDB_DECIMAL.int: ("DECIMAL", nil), CDUCKDB_VARCHAR.int: ("VARCHAR", .text),
        CDUCKDB_DATE.int: ("DATE", .date), CDUCKDB_TIMESTAMP.int: ("TIMESTAMP", .timestamp),
        CDUCKDB_TIMESTAMP_S.int: ("TIMESTAMP_S", .seconds), CDUCKDB_TIMESTAMP_MS.int: ("TIMESTAMP_MS", .milliseconds),
        CDUCKDB_TIMESTAMP_NS.int: ("TIMESTAMP_NS", .nanoseconds),
        CDUCKDB_TIMESTAMP_TZ.int: ("TIMESTAMP WITH TIME ZONE", .timestamp), CDUCKDB_SQLNULL.int: ("NULL", .nothing),
        CDUCKDB_TIME.int: ("TIME", nil), CDUCKDB_TIME_TZ.int: ("TIME WITH TIME ZONE", nil),
        CDUCKDB_INTERVAL.int: ("INTERVAL", nil), CDUCKDB_BLOB.int: ("BLOB", nil), CDUCKDB_ENUM.int: ("ENUM", nil),
        CDUCKDB_LIST.int: ("LIST", nil), CDUCKDB_STRUCT.int: ("STRUCT", nil), CDUCKDB_MAP.int: ("MAP", nil),
        CDUCKDB_UUID.int: ("UUID", nil), CDUCKDB_UNION.int: ("UNION", nil), CDUCKDB_BIT.int: ("BIT", nil),
        CDUCKDB_ARRAY.int: ("ARRAY", nil),
    ]
}

extension RawRepresentable where RawValue == UInt32 {
    fileprivate var int: Int32 { Int32(truncatingIfNeeded: rawValue) }
}

extension Int {
    /// Anonymous C enumerations come over as `Int`.
    fileprivate var int: Int32 { Int32(truncatingIfNeeded: self) }
}
