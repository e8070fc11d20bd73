/// The UBJSON encoding: JSON's structure with a letter before each value, big-endian numbers, and arrays that may
/// declare the type and number of their elements once.
///
/// Every declared length is held against the bytes that are left before anything is read or allocated.
struct UBJSONDocument: ModelDocument {
    private let bytes: UnsafeRawBufferPointer
    private(set) var offset = 0
    /// One entry for each open container: the elements left to read, or -1 where a closing bracket ends it.
    private var open: [Int] = []
    private static let maximumDepth = 64

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    // MARK: Structure

    mutating func beginObject() throws(ModelFileError) {
        try expect(UInt8(ascii: "{"), "an object")
        try push(try containerCount(typed: false).count)
    }

    mutating func nextKey() throws(ModelFileError) -> String? {
        guard try advance(closing: UInt8(ascii: "}")) else { return nil }
        return try text()
    }

    mutating func beginArray() throws(ModelFileError) {
        try expect(UInt8(ascii: "["), "an array")
        try push(try containerCount(typed: false).count)
    }

    mutating func nextElement() throws(ModelFileError) -> Bool { try advance(closing: UInt8(ascii: "]")) }

    mutating func readString() throws(ModelFileError) -> String {
        try expect(UInt8(ascii: "S"), "a string")
        return try text()
    }

    mutating func nextIsString() throws(ModelFileError) -> Bool { try marker() == UInt8(ascii: "S") }

    mutating func end() throws(ModelFileError) {
        guard offset == bytes.count else { throw ModelFileError(offset, "unexpected bytes after the model's end") }
    }

    // MARK: Arrays of numbers

    mutating func readInts() throws(ModelFileError) -> [Int32] {
        var result: [Int32] = []
        try eachNumber { (count) in result.reserveCapacity(count) } body: { (reader, type) throws(ModelFileError) in
            let start = reader.offset
            let value = try reader.integer(type)
            guard let narrow = Int32(exactly: value) else {
                throw ModelFileError(start, "\(value) does not fit in 32 bits")
            }
            result.append(narrow)
        }
        return result
    }

    mutating func readFloats() throws(ModelFileError) -> [Float] {
        var result: [Float] = []
        try eachNumber { (count) in result.reserveCapacity(count) } body: { (reader, type) throws(ModelFileError) in
            switch type {
            case UInt8(ascii: "d"): result.append(Float(bitPattern: try reader.bigEndian(UInt32.self)))
            case UInt8(ascii: "D"): result.append(Float(Double(bitPattern: try reader.bigEndian(UInt64.self))))
            default: result.append(Float(try reader.integer(type)))
            }
        }
        return result
    }

    private mutating func eachNumber(
        _ reserve: (Int) -> Void, body: (inout UBJSONDocument, UInt8) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        try expect(UInt8(ascii: "["), "an array")
        let (type, count) = try containerCount(typed: true)
        if let type {
            guard let size = Self.size(of: type), size > 0 else {
                throw ModelFileError(offset, "an array of numbers was expected")
            }
            try need(count, of: size)
            reserve(count)
            for _ in 0..<count { try body(&self, type) }
            return
        }
        try push(count)
        while try nextElement() {
            let type = try marker()
            offset += 1
            try body(&self, type)
        }
    }

    // MARK: Skipping

    mutating func skipValue() throws(ModelFileError) {
        // `true` for an object; the depth is bounded by push.
        var isObject: [Bool] = []
        repeat {
            let type = try marker()
            offset += 1
            switch type {
            case UInt8(ascii: "{"):
                try push(try containerCount(typed: false).count)
                isObject.append(true)
            case UInt8(ascii: "["):
                let (element, count) = try containerCount(typed: true)
                if let element {
                    guard let size = Self.size(of: element) else {
                        throw ModelFileError(offset, "arrays of this type cannot be read")
                    }
                    try need(count, of: size)
                    offset += count * size
                } else {
                    try push(count)
                    isObject.append(false)
                }
            case UInt8(ascii: "S"), UInt8(ascii: "H"): _ = try textRange()
            default:
                guard let size = Self.size(of: type) else {
                    throw ModelFileError(offset - 1, "byte \(type) begins no value")
                }
                try need(1, of: size)
                offset += size
            }
            while let object = isObject.last {
                if try advance(closing: object ? UInt8(ascii: "}") : UInt8(ascii: "]")) {
                    if object { _ = try textRange() }
                    break
                }
                isObject.removeLast()
            }
        } while !isObject.isEmpty
    }

    // MARK: Inside

    private static func size(of type: UInt8) -> Int? {
        switch type {
        case UInt8(ascii: "Z"), UInt8(ascii: "N"), UInt8(ascii: "T"), UInt8(ascii: "F"): 0
        case UInt8(ascii: "i"), UInt8(ascii: "U"), UInt8(ascii: "C"): 1
        case UInt8(ascii: "I"): 2
        case UInt8(ascii: "l"), UInt8(ascii: "d"): 4
        case UInt8(ascii: "L"), UInt8(ascii: "D"): 8
        default: nil
        }
    }

    private func marker() throws(ModelFileError) -> UInt8 {
        guard offset < bytes.count else { throw ModelFileError(offset, "the file ends where a value was expected") }
        return bytes[offset]
    }

    private mutating func expect(_ type: UInt8, _ what: String) throws(ModelFileError) {
        guard try marker() == type else { throw ModelFileError(offset, "\(what) was expected") }
        offset += 1
    }

    private func need(_ count: Int, of size: Int) throws(ModelFileError) {
        let (total, overflow) = count.multipliedReportingOverflow(by: size)
        if overflow || total > bytes.count - offset {
            throw ModelFileError(
                offset, "\(count) elements of \(size) bytes are declared, \(bytes.count - offset) bytes are left")
        }
    }

    private mutating func bigEndian<T: FixedWidthInteger>(_: T.Type) throws(ModelFileError) -> T {
        try need(1, of: MemoryLayout<T>.size)
        let value = bytes.loadUnaligned(fromByteOffset: offset, as: T.self)
        offset += MemoryLayout<T>.size
        return T(bigEndian: value)
    }

    private mutating func integer(_ type: UInt8) throws(ModelFileError) -> Int64 {
        switch type {
        case UInt8(ascii: "i"): return Int64(try bigEndian(Int8.self))
        case UInt8(ascii: "U"): return Int64(try bigEndian(UInt8.self))
        case UInt8(ascii: "I"): return Int64(try bigEndian(Int16.self))
        case UInt8(ascii: "l"): return Int64(try bigEndian(Int32.self))
        case UInt8(ascii: "L"): return try bigEndian(Int64.self)
        case UInt8(ascii: "T"): return 1
        case UInt8(ascii: "F"): return 0
        default: throw ModelFileError(offset, "a whole number was expected")
        }
    }

    /// A length: a letter for the integer's type, then the integer.
    private mutating func length() throws(ModelFileError) -> Int {
        let start = offset
        let type = try marker()
        offset += 1
        let value = try integer(type)
        guard value >= 0 else { throw ModelFileError(start, "a length is negative") }
        return Int(value)
    }

    private mutating func textRange() throws(ModelFileError) -> Range<Int> {
        let count = try length()
        try need(count, of: 1)
        defer { offset += count }
        return offset..<(offset + count)
    }

    private mutating func text() throws(ModelFileError) -> String {
        let range = try textRange()
        guard let string = String(validating: bytes[range], as: UTF8.self) else {
            throw ModelFileError(range.lowerBound, "the text is not UTF-8")
        }
        return string
    }

    /// After an opening bracket: `$type#count`, `#count`, or neither (-1).
    private mutating func containerCount(typed: Bool) throws(ModelFileError) -> (type: UInt8?, count: Int) {
        var type: UInt8?
        if try marker() == UInt8(ascii: "$") {
            offset += 1
            guard typed else { throw ModelFileError(offset, "a list of values with their own types was expected") }
            type = try marker()
            offset += 1
            guard try marker() == UInt8(ascii: "#") else { throw ModelFileError(offset, "a count was expected") }
        }
        guard try marker() == UInt8(ascii: "#") else { return (nil, -1) }
        offset += 1
        return (type, try length())
    }

    private mutating func push(_ count: Int) throws(ModelFileError) {
        guard open.count < Self.maximumDepth else {
            throw ModelFileError(offset, "nested more than \(Self.maximumDepth) deep")
        }
        open.append(count)
    }

    private mutating func advance(closing bracket: UInt8) throws(ModelFileError) -> Bool {
        guard let left = open.last else { throw ModelFileError(offset, "no array or object is open here") }
        if left > 0 {
            open[open.count - 1] = left - 1
            return true
        }
        if left == 0 {
            open.removeLast()
            return false
        }
        guard try marker() == bracket else { return true }
        offset += 1
        open.removeLast()
        return false
    }
}
