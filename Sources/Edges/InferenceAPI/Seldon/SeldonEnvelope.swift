import AerieCore
import AerieData
import AerieJSON
import Serving

/// A SeldonMessage with any payload: what it says, and in which form, so that it can be answered in kind.
struct SeldonEnvelope: Sendable {
    enum Form: Sendable, Hashable {
        case ndarray, tensor, tftensor, binData, strData, jsonData
        /// A `google.protobuf.Any` of this type.
        case customData(String)
    }

    var form: Form
    var message: GraphMessage

    /// A payload that is rows of numbers, or JSON where it is not.
    static func payload(_ array: JSONValue) -> GraphMessage.Payload {
        guard let numbers = NestedNumbers(array) else { return .json(array) }
        // One list is one row.
        let shape = numbers.shape.count == 1 ? [1, numbers.shape[0]] : numbers.shape
        return .tensors([Tensor(name: "", dataType: .fp64, shape: shape, elements: numbers.values)])
    }
}

/// Lists in lists that end in numbers and have a shape.
struct NestedNumbers {
    private(set) var shape: [Int] = []
    private(set) var values: [Double] = []

    /// `nil` for lists of different lengths at one depth, or with something else in them than numbers.
    init?(_ value: JSONValue) {
        var probe = value
        while let list = probe.array {
            shape.append(list.count)
            guard let first = list.first else { break }
            probe = first
        }
        guard !shape.isEmpty, collect(value, depth: 0) else { return nil }
    }

    private mutating func collect(_ value: JSONValue, depth: Int) -> Bool {
        if depth == shape.count {
            switch value {
            case .int(let number): values.append(Double(number))
            case .double(let number): values.append(number)
            case .null: values.append(.nan)
            case .bool(let flag): values.append(flag ? 1 : 0)
            default: return false
            }
            return true
        }
        guard let list = value.array, list.count == shape[depth] else { return false }
        for element in list where !collect(element, depth: depth + 1) { return false }
        return true
    }
}

/// An answer's payload in the form of its request.
struct SeldonPayload {
    enum Value {
        case ndarray(JSONValue)
        case tensor(shape: [Int], values: [Double])
        case tftensor(Tensor)
        case binData([UInt8])
        case strData(String)
        case jsonData(JSONValue)
        case customData(type: String, value: [UInt8])
    }

    var value: Value
    /// Of `data`; empty for other forms.
    var names: [String] = []

    private init(value: Value, names: [String] = []) {
        self.value = value
        self.names = names
    }

    /// - Throws: `unsupported` for an answer that the form cannot hold.
    init(_ message: GraphMessage, as form: SeldonEnvelope.Form) throws(AerieError) {
        switch (message.payload, form) {
        case (.opaque(let type, let bytes), _): self.init(value: .customData(type: type, value: bytes))
        case (.text(let text), _): self.init(value: .strData(text))
        case (.bytes(let bytes), _): self.init(value: .binData(bytes))
        case (.json(let json), .ndarray): self.init(value: .ndarray(json), names: message.names)
        case (.json(let json), .strData): self.init(value: .strData(json.text()))
        case (.json(let json), .customData(let type)):
            self.init(value: .customData(type: type, value: try WellKnownValue.encode(json, as: type)))
        case (.json(let json), _): self.init(value: .jsonData(json))
        case (.tensors(let tensors), _):
            guard let first = tensors.first else { throw AerieError(.internal, "the graph answered nothing") }
            try self.init(first, tensors, message.names, form)
        }
    }

    private init(
        _ first: Tensor, _ all: [Tensor], _ names: [String], _ form: SeldonEnvelope.Form
    ) throws(AerieError) {
        let rows = first.shape.first ?? 1
        let columns = rows > 0 ? (first.elementCount ?? 0) / rows : 0
        // Rows of one column where the tensor has one dimension, as Seldon's `data` is rows.
        var table = first
        if first.shape.count < 2 { table.shape = [rows, columns] }
        switch form {
        case .ndarray: value = .ndarray(table.nestedJSON)
        case .tensor where first.dataType != .bytes:
            value = .tensor(shape: [rows, columns], values: try first.doubles())
        case .tensor: value = .ndarray(table.nestedJSON)
        case .tftensor: value = .tftensor(table)
        case .binData: value = .binData(first.dataType == .bytes ? first.byteElements?.first ?? [] : first.bytes)
        case .strData:
            let texts = first.dataType == .bytes ? first.byteElements ?? [] : []
            value = .strData(
                texts.count == 1 ? String(decoding: texts[0], as: UTF8.self) : table.nestedJSON.text())
        case .jsonData:
            if all.count == 1 {
                value = .jsonData(table.nestedJSON)
            } else {
                value = .jsonData(.object(JSONObject(all.map { ($0.name, $0.nestedJSON) })))
            }
        case .customData(let type):
            value = .customData(type: type, value: type == TensorProto.typeName
                ? try TensorProto.encode(table) : try WellKnownValue.encode(table.nestedJSON, as: type))
        }
        switch value {
        case .ndarray, .tensor, .tftensor:
            self.names = names.count == columns ? names : (0..<columns).map { "t:\($0)" }
        default: break
        }
    }
}

extension Tensor {
    /// Each element as a double, with a float's shortest digits.
    func doubles() throws(AerieError) -> [Double] {
        if dataType == .bytes { throw AerieError(.unsupported, "\(name): BYTES are no numbers") }
        return jsonElements.map { element in
            if let flag = element.bool { return flag ? 1 : 0 }
            return element.double ?? .nan
        }
    }
}
