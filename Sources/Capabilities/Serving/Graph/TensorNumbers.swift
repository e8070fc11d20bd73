import AerieCore
public import AerieData

extension Tensor {
    /// Every element as a double; whole numbers above 2^53 lose their last digits.
    /// - Throws: `invalidArgument` for `BYTES`.
    func numbers() throws(AerieError) -> [Double] {
        func each<Element: BitwiseCopyable>(_ type: Element.Type, _ map: (Element) -> Double) -> [Double] {
            elements(as: type).map(map)
        }
        switch dataType {
        case .bool: return each(UInt8.self) { $0 == 0 ? 0 : 1 }
        case .uint8: return each(UInt8.self) { Double($0) }
        case .uint16: return each(UInt16.self) { Double($0) }
        case .uint32: return each(UInt32.self) { Double($0) }
        case .uint64: return each(UInt64.self) { Double($0) }
        case .int8: return each(Int8.self) { Double($0) }
        case .int16: return each(Int16.self) { Double($0) }
        case .int32: return each(Int32.self) { Double($0) }
        case .int64: return each(Int64.self) { Double($0) }
        case .fp16: return each(UInt16.self) { Double(HalfPrecision.value(of: $0)) }
        case .bf16: return each(UInt16.self) { Double(Float(bitPattern: UInt32($0) << 16)) }
        case .fp32: return each(Float.self) { Double($0) }
        case .fp64: return elements(as: Double.self)
        case .bytes: throw .invalid(name, "BYTES where numbers are expected")
        }
    }

    /// A tensor of numbers in the element type that its taker wants.
    /// - Throws: `invalidArgument` for a number that the type cannot hold, or a type that numbers cannot be made into.
    init(name: String, dataType: DataType, shape: [Int], numbers: [Double]) throws(AerieError) {
        func whole<Element: FixedWidthInteger & BitwiseCopyable>(_: Element.Type) throws(AerieError) -> Tensor {
            var elements: [Element] = []
            elements.reserveCapacity(numbers.count)
            for number in numbers {
                guard let element = Element(exactly: number) else {
                    throw .invalid(name, "\(number) is no \(dataType.rawValue)")
                }
                elements.append(element)
            }
            return Tensor(name: name, dataType: dataType, shape: shape, elements: elements)
        }
        switch dataType {
        case .fp32: self.init(name: name, dataType: .fp32, shape: shape, elements: numbers.map { Float($0) })
        case .fp64: self.init(name: name, dataType: .fp64, shape: shape, elements: numbers)
        case .int64: self = try whole(Int64.self)
        case .int32: self = try whole(Int32.self)
        case .int16: self = try whole(Int16.self)
        case .int8: self = try whole(Int8.self)
        case .uint64: self = try whole(UInt64.self)
        case .uint32: self = try whole(UInt32.self)
        case .uint16: self = try whole(UInt16.self)
        case .uint8: self = try whole(UInt8.self)
        case .bool:
            self.init(
                name: name, dataType: .bool, shape: shape, elements: numbers.map { $0 == 0 ? UInt8(0) : UInt8(1) })
        case .fp16, .bf16, .bytes:
            throw .invalid(name, "numbers cannot be made \(dataType.rawValue) here; send the tensor in that type")
        }
    }

    /// The same elements in another type, under another name.
    func cast(to type: DataType, name: String) throws(AerieError) -> Tensor {
        if dataType == type { return Tensor(name: name, dataType: type, shape: shape, bytes: bytes) }
        return try Tensor(name: name, dataType: type, shape: shape, numbers: numbers())
    }

    /// One `BYTES` element for each text.
    init(name: String, shape: [Int], texts: [String]) {
        var bytes: [UInt8] = []
        for text in texts {
            withUnsafeBytes(of: UInt32(text.utf8.count).littleEndian) { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: text.utf8)
        }
        self.init(name: name, dataType: .bytes, shape: shape, bytes: bytes)
    }

    /// The elements of a `BYTES` tensor; `nil` where their lengths do not add up.
    public var byteElements: [[UInt8]]? {
        var elements: [[UInt8]] = []
        var at = 0
        while at < bytes.count {
            guard at + 4 <= bytes.count else { return nil }
            let length = bytes.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            }
            at += 4
            guard length <= bytes.count - at else { return nil }
            elements.append(Array(bytes[at..<(at + length)]))
            at += length
        }
        return elements
    }
}
