import AerieCore
import AerieData
import Serving

/// Turns the tensors of a request into rows: one tensor of all columns, or one tensor for each column by its name.
struct RowInput<Value: TreeValue> {
    private let featureCount: Int
    private let names: [String]

    init(_ description: ModelDescription, _ featureCount: Int) {
        self.featureCount = featureCount
        names = description.featureNames
    }

    func rows(_ inputs: [Tensor]) throws(AerieError) -> (rows: [Value], count: Int) {
        guard let first = inputs.first else { throw AerieError.invalid("inputs", "is empty; one tensor was expected") }
        if inputs.count == 1, let count = rowCount(of: first.shape) {
            let (numbers, overflow) = count.multipliedReportingOverflow(by: featureCount)
            guard !overflow else { throw AerieError.invalid("inputs.\(first.name)", "has a shape beyond its bytes") }
            return (try elements(of: first, count: numbers), count)
        }
        if !names.isEmpty, inputs.count > 1 || names == [first.name] { return try columns(inputs) }
        guard inputs.count == 1 else {
            throw AerieError.invalid(
                "inputs",
                "\(inputs.count) tensors for a model that knows no names of columns; send one of shape "
                    + "[rows, \(featureCount)]")
        }
        let shape = "[" + first.shape.map(String.init).joined(separator: ", ") + "]"
        throw AerieError.invalid(
            "inputs.\(first.name)", "has shape \(shape), the model takes [rows, \(featureCount)] or [\(featureCount)]")
    }

    /// `nil` if the shape is not that of whole rows.
    private func rowCount(of shape: [Int]) -> Int? {
        switch shape.count {
        case 2 where shape[1] == featureCount && shape[0] >= 0: shape[0]
        case 1 where shape[0] == featureCount && featureCount != 1: 1
        case 1 where featureCount == 1 && shape[0] >= 0: shape[0]
        default: nil
        }
    }

    private func columns(_ inputs: [Tensor]) throws(AerieError) -> (rows: [Value], count: Int) {
        var places: [String: Int] = [:]
        for (place, name) in names.enumerated() { places[name] = place }
        var seen = [Bool](repeating: false, count: featureCount)
        var rows: [Value] = []
        var count = 0
        for (index, tensor) in inputs.enumerated() {
            let path = "inputs.\(tensor.name)"
            guard let place = places[tensor.name] else { throw AerieError.invalid(path, "is no column of the model") }
            guard !seen[place] else { throw AerieError.invalid(path, "is given twice") }
            seen[place] = true
            let isColumn = tensor.shape.count == 1 || tensor.shape.count == 2 && tensor.shape[1] == 1
            guard isColumn, let length = tensor.elementCount else {
                throw AerieError.invalid(path, "must have shape [rows] or [rows, 1], as one column of several")
            }
            let values = try elements(of: tensor, count: length)
            if index == 0 {
                count = length
                let (total, overflow) = count.multipliedReportingOverflow(by: featureCount)
                guard !overflow, inputs.count == featureCount else { throw missing(inputs) }
                rows = [Value](repeating: .nan, count: total)
            }
            guard length == count else {
                throw AerieError.invalid(path, "has \(length) rows, the columns before it have \(count)")
            }
            for row in 0..<count { rows[row * featureCount + place] = values[row] }
        }
        guard seen.allSatisfy({ $0 }) else { throw missing(inputs) }
        return (rows, count)
    }

    private func missing(_ inputs: [Tensor]) -> AerieError {
        let given = Set(inputs.map(\.name))
        let absent = names.filter { !given.contains($0) }.prefix(5).joined(separator: ", ")
        return AerieError.invalid(
            "inputs", absent.isEmpty ? "has more tensors than the model has columns" : "lacks the columns \(absent)")
    }

    // MARK: Elements

    private func elements(of tensor: Tensor, count: Int) throws(AerieError) -> [Value] {
        let path = "inputs.\(tensor.name)"
        guard let size = tensor.dataType.byteCount else {
            throw AerieError.invalid(path, "has type \(tensor.dataType.rawValue), the model takes numbers")
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
        guard !overflow, bytes == tensor.bytes.count else {
            throw AerieError.invalid(
                path, "has \(tensor.bytes.count) bytes, its shape and type need \(count) times \(size)")
        }
        func read<Element: BitwiseCopyable>(_: Element.Type, _ convert: (Element) -> Value) -> [Value] {
            tensor.bytes.withUnsafeBytes { raw in
                [Value](unsafeUninitializedCapacity: count) { buffer, filled in
                    for index in 0..<count {
                        let element = raw.loadUnaligned(fromByteOffset: index * size, as: Element.self)
                        buffer.initializeElement(at: index, to: convert(element))
                    }
                    filled = count
                }
            }
        }
        switch tensor.dataType {
        case .fp32: return read(Float.self) { Value($0) }
        case .fp64: return read(Double.self) { Value($0) }
        case .int64: return read(Int64.self) { Value($0) }
        case .int32: return read(Int32.self) { Value($0) }
        case .int16: return read(Int16.self) { Value($0) }
        case .int8: return read(Int8.self) { Value($0) }
        case .uint64: return read(UInt64.self) { Value($0) }
        case .uint32: return read(UInt32.self) { Value($0) }
        case .uint16: return read(UInt16.self) { Value($0) }
        case .uint8: return read(UInt8.self) { Value($0) }
        case .bool: return read(UInt8.self) { $0 == 0 ? 0 : 1 }
        case .bf16: return read(UInt16.self) { Value(Float(bitPattern: UInt32($0) << 16)) }
        case .fp16: return read(UInt16.self) { Value(Self.half($0)) }
        case .bytes: throw AerieError.invalid(path, "has type BYTES, the model takes numbers")
        }
    }

    /// A 16-bit float's value: sign, 5 bits of exponent, 10 of fraction.
    private static func half(_ bits: UInt16) -> Float {
        let fraction = Float(bits & 0x3ff)
        let magnitude: Float
        switch bits >> 10 & 0x1f {
        case 0: magnitude = fraction * 0x1p-24
        case 31: magnitude = fraction == 0 ? .infinity : .nan
        case let exponent:
            magnitude = Float(sign: .plus, exponent: Int(exponent) - 15, significand: 1 + fraction * 0x1p-10)
        }
        return bits >> 15 == 1 ? -magnitude : magnitude
    }
}

extension ModelDescription {
    /// One tensor of rows in, one of predictions out.
    init(
        tabular platform: String, type: DataType, features: Int, outputs: Int, names: [String],
        nanosecondsPerRow: Double, isProbability: Bool
    ) {
        self.init(
            platform: platform, inputs: [TensorSpec(name: "input", dataType: type, shape: [-1, features])],
            outputs: [TensorSpec(name: "predict", dataType: type, shape: outputs == 1 ? [-1] : [-1, outputs])],
            featureNames: names, nanosecondsPerRow: nanosecondsPerRow, isProbability: isProbability)
    }

    /// The one output of `rows` rows.
    func output<Element: BitwiseCopyable>(rows: Int, elements: [Element]) -> Tensor {
        let spec = outputs[0]
        return Tensor(
            name: spec.name, dataType: spec.dataType, shape: [rows] + spec.shape.dropFirst(), elements: elements)
    }
}
