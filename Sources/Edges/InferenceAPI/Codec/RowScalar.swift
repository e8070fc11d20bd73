import AerieData
import AerieJSON

/// The two element types that tabular models compare in.
protocol RowScalar: BinaryFloatingPoint, BitwiseCopyable {
    static func read(_ reader: inout JSONReader) throws(JSONError) -> Self
    /// As many of the next elements as are short decimals, into uninitialized memory; how many there were.
    static func readShort(_ reader: inout JSONReader, _ out: UnsafeMutablePointer<Self>, atMost limit: Int) -> Int
}

extension Float: RowScalar {
    @inline(__always)
    static func read(_ reader: inout JSONReader) throws(JSONError) -> Float { try reader.readFloat() }
    @inline(__always)
    static func readShort(_ reader: inout JSONReader, _ out: UnsafeMutablePointer<Float>, atMost limit: Int) -> Int {
        reader.readShortFloats(into: out, atMost: limit)
    }
}

extension Double: RowScalar {
    @inline(__always)
    static func read(_ reader: inout JSONReader) throws(JSONError) -> Double { try reader.readDouble() }
    @inline(__always)
    static func readShort(_ reader: inout JSONReader, _ out: UnsafeMutablePointer<Double>, atMost limit: Int) -> Int {
        reader.readShortDoubles(into: out, atMost: limit)
    }
}

/// What was seen while a (nested) list of numbers was read.
struct NumberList {
    /// Elements at the leaves.
    var count = 0
    /// The deepest nesting; 1 for a flat list.
    var depth = 1
    /// Lists directly inside the outermost one, and the leaves of each if they are all alike.
    var rows = 0
    var width = 0
    var isRagged = false
    var hasMissing = false
}

/// Short decimals that are read in one go.
private let shortRun = 64

/// Reads a list of numbers, flat or nested, into `buffer`, row-major. `true` and `false` are 1 and 0; `null`, `"NaN"`
/// and the words for infinity are what they say.
func readNumbers<Scalar: RowScalar>(
    _ reader: inout JSONReader, as _: Scalar.Type, into buffer: RowBuffer
) throws(JSONError) -> NumberList {
    var list = NumberList()
    guard try reader.peek() == .array else { throw JSONError(offset: reader.offset, problem: "a list was expected") }
    try reader.beginArray()
    var depth = 1
    var rowStart = 0
    while depth > 0 {
        let short = buffer.append(atMost: shortRun, of: Scalar.self) { Scalar.readShort(&reader, $0, atMost: shortRun) }
        if short > 0 {
            if depth != list.depth { list.isRagged = true }
            list.count += short
            if short == shortRun { continue }
        }
        guard try reader.nextElement() else {
            depth -= 1
            if depth == 1 {
                let width = list.count - rowStart
                if list.rows == 0 { list.width = width } else if width != list.width { list.isRagged = true }
                list.rows += 1
            }
            continue
        }
        switch try reader.peek() {
        case .number: buffer.append(try Scalar.read(&reader))
        case .array:
            try reader.beginArray()
            depth += 1
            if depth > list.depth {
                if list.count > 0 { list.isRagged = true }
                list.depth = depth
            }
            if depth == 2 { rowStart = list.count }
            continue
        case .bool: buffer.append(try reader.readBool() ? Scalar(1) : Scalar(0))
        case .null:
            try reader.readNull()
            list.hasMissing = true
            buffer.append(Scalar.nan)
        case .string: buffer.append(try readNumberWord(&reader, &list, as: Scalar.self))
        default: throw JSONError(offset: reader.offset, problem: "a number was expected")
        }
        if depth != list.depth { list.isRagged = true }
        list.count += 1
    }
    return list
}

private func readNumberWord<Scalar: RowScalar>(
    _ reader: inout JSONReader, _ list: inout NumberList, as _: Scalar.Type
) throws(JSONError) -> Scalar {
    let offset = reader.offset
    let text = try reader.readText()
    list.hasMissing = true
    if reader.matches(text, "NaN") || reader.matches(text, "nan") { return .nan }
    if reader.matches(text, "Infinity") || reader.matches(text, "inf") { return .infinity }
    if reader.matches(text, "-Infinity") || reader.matches(text, "-inf") { return -.infinity }
    throw JSONError(offset: offset, problem: "a number was expected, not text (only \"NaN\", \"Infinity\")")
}

/// Appends little-endian elements of any numeric type as rows' elements.
///
/// - Returns: false for `BYTES`, which are no numbers.
/// - Precondition: `bytes.count` is a multiple of the element's size.
func appendElements<Scalar: RowScalar>(
    _ bytes: UnsafeRawBufferPointer, of type: DataType, as _: Scalar.Type, into buffer: RowBuffer
) -> Bool {
    func each<Source: BitwiseCopyable>(_: Source.Type, _ convert: (Source) -> Scalar) {
        let stride = MemoryLayout<Source>.stride
        for index in 0..<(bytes.count / stride) {
            buffer.append(convert(bytes.loadUnaligned(fromByteOffset: index * stride, as: Source.self)))
        }
    }
    // What needs no conversion is copied as it lies: batches of rows, mostly.
    if type == .fp32 && Scalar.self == Float.self || type == .fp64 && Scalar.self == Double.self {
        buffer.append(contentsOf: bytes)
        return true
    }
    switch type {
    case .bool: each(UInt8.self) { $0 == 0 ? 0 : 1 }
    case .uint8: each(UInt8.self) { Scalar($0) }
    case .uint16: each(UInt16.self) { Scalar($0) }
    case .uint32: each(UInt32.self) { Scalar($0) }
    case .uint64: each(UInt64.self) { Scalar($0) }
    case .int8: each(Int8.self) { Scalar($0) }
    case .int16: each(Int16.self) { Scalar($0) }
    case .int32: each(Int32.self) { Scalar($0) }
    case .int64: each(Int64.self) { Scalar($0) }
    case .fp16: each(UInt16.self) { Scalar(floatFromHalf($0)) }
    case .bf16: each(UInt16.self) { Scalar(Float(bitPattern: UInt32($0) << 16)) }
    case .fp32: each(Float.self) { Scalar($0) }
    case .fp64: each(Double.self) { Scalar($0) }
    case .bytes: return false
    }
    return true
}

/// IEEE 754 binary16 widened to binary32; exact.
func floatFromHalf(_ half: UInt16) -> Float {
    let sign = UInt32(half & 0x8000) << 16
    let exponent = UInt32(half >> 10) & 0x1f
    let fraction = UInt32(half & 0x3ff)
    switch exponent {
    case 0:
        let value = Float(fraction) * 0x1p-24
        return sign == 0 ? value : -value
    case 31: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
    default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
    }
}
