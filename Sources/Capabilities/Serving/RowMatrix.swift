public import AerieCore
public import AerieData

/// A row-major matrix of fp32 or fp64 that a loop fills for each request and never gives back: after the largest
/// request has been seen it allocates nothing. Belongs to one thread.
public struct RowMatrix: ~Copyable {
    /// The most bytes that one request may need, so that a shape in a request cannot ask for the machine's memory.
    public static let maximumByteCount = 1 << 30

    /// Room for `rows * columns` elements, aligned to 64 bytes. Invalid after the next `reserve`.
    public private(set) var pointer: UnsafeMutableRawPointer
    public private(set) var rows = 0
    public private(set) var columns = 0
    public private(set) var type = DataType.fp32
    private var capacity: Int

    public init(initialByteCount: Int = 4096) {
        capacity = max(64, initialByteCount)
        pointer = .allocate(byteCount: capacity, alignment: 64)
    }

    deinit { pointer.deallocate() }

    /// Makes room and takes the shape. The old elements are lost; the new ones are not set.
    /// - Throws: `invalidArgument` for a type other than `.fp32` and `.fp64` or a negative size; `resourceExhausted`
    ///   past `maximumByteCount`.
    public mutating func reserve(rows: Int, columns: Int, type: DataType) throws(AerieError) {
        guard type == .fp32 || type == .fp64 else {
            throw AerieError(.invalidArgument, "rows are FP32 or FP64, not \(type.rawValue)")
        }
        guard rows >= 0, columns >= 0 else {
            throw AerieError(.invalidArgument, "a matrix cannot have a negative size")
        }
        let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
        let size = type == .fp32 ? 4 : 8
        guard !overflow, elements <= Self.maximumByteCount / size else {
            throw AerieError(
                .resourceExhausted,
                "\(rows) rows of \(columns) columns need more than \(Self.maximumByteCount >> 20) MiB; send fewer")
        }
        if elements * size > capacity {
            pointer.deallocate()
            capacity = max(elements * size, min(capacity * 2, Self.maximumByteCount))
            pointer = .allocate(byteCount: capacity, alignment: 64)
        }
        self.rows = rows
        self.columns = columns
        self.type = type
    }

    public var elementCount: Int { rows * columns }

    /// Sets one element. Both indices must be in range.
    @inline(__always)
    public func set(row: Int, column: Int, _ value: Double) {
        let at = row * columns + column
        if type == .fp32 {
            pointer.storeBytes(of: Float(value), toByteOffset: at * 4, as: Float.self)
        } else {
            pointer.storeBytes(of: value, toByteOffset: at * 8, as: Double.self)
        }
    }

    /// Copies a tensor's little-endian elements into the matrix, converted to its type.
    /// - Parameters:
    ///   - source: whole elements of `sourceType`; needs no alignment.
    ///   - start: the element of the matrix where the first one goes.
    ///   - stride: elements of the matrix from one to the next: 1 for a whole row-major tensor, `columns` for one
    ///     column.
    /// - Throws: `invalidArgument` for `BYTES`, or where the elements do not fit.
    public func copy(
        from source: UnsafeRawBufferPointer, type sourceType: DataType, start: Int = 0, stride: Int = 1
    ) throws(AerieError) {
        guard let size = sourceType.byteCount else {
            throw AerieError(.invalidArgument, "BYTES cannot be read as numbers; send FP32 or FP64")
        }
        let count = source.count / size
        if source.isEmpty { return }
        guard source.count % size == 0, start >= 0, stride >= 1,
            count - 1 <= (elementCount - 1 - start) / stride, start < elementCount
        else {
            throw AerieError(
                .invalidArgument, "\(source.count) bytes of \(sourceType.rawValue) do not fit \(rows)x\(columns)")
        }
        if stride == 1, sourceType == type, let base = source.baseAddress {
            (pointer + start * size).copyMemory(from: base, byteCount: source.count)
            return
        }
        if type == .fp32 {
            convert(source, sourceType, count, to: Float.self, start, stride) { Float($0) }
        } else {
            convert(source, sourceType, count, to: Double.self, start, stride) { $0 }
        }
    }

    private func convert<Target: BinaryFloatingPoint & BitwiseCopyable>(
        _ source: UnsafeRawBufferPointer, _ sourceType: DataType, _ count: Int, to target: Target.Type, _ start: Int,
        _ stride: Int, _ fromDouble: (Double) -> Target
    ) {
        let out = pointer.assumingMemoryBound(to: Target.self) + start
        func each<Element: BitwiseCopyable>(_ element: Element.Type, _ map: (Element) -> Target) {
            for index in 0..<count {
                let at = index * MemoryLayout<Element>.stride
                out[index * stride] = map(source.loadUnaligned(fromByteOffset: at, as: Element.self))
            }
        }
        switch sourceType {
        case .bool: each(UInt8.self) { $0 == 0 ? 0 : 1 }
        case .uint8: each(UInt8.self) { Target($0) }
        case .uint16: each(UInt16.self) { Target($0) }
        case .uint32: each(UInt32.self) { Target($0) }
        case .uint64: each(UInt64.self) { Target($0) }
        case .int8: each(Int8.self) { Target($0) }
        case .int16: each(Int16.self) { Target($0) }
        case .int32: each(Int32.self) { Target($0) }
        case .int64: each(Int64.self) { Target($0) }
        case .fp16: each(UInt16.self) { fromDouble(Double(HalfPrecision.value(of: $0))) }
        case .bf16: each(UInt16.self) { fromDouble(Double(Float(bitPattern: UInt32($0) << 16))) }
        case .fp32: each(Float.self) { Target($0) }
        case .fp64: each(Double.self) { fromDouble($0) }
        case .bytes: break
        }
    }
}

/// IEEE 754 half precision, for machines whose compiler has no `Float16`.
enum HalfPrecision {
    static func value(of bits: UInt16) -> Float {
        let sign = UInt32(bits & 0x8000) << 16
        let exponent = UInt32(bits >> 10) & 0x1f
        let fraction = UInt32(bits & 0x3ff)
        switch exponent {
        case 0:
            let magnitude = Float(fraction) / 16_777_216  // 2^-24 for each step of a subnormal
            return sign == 0 ? magnitude : -magnitude
        case 31: return Float(bitPattern: sign | 0x7f80_0000 | fraction << 13)
        default: return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
        }
    }
}
