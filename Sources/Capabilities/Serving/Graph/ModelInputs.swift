import AerieCore
import AerieData
import AerieJSON

/// Makes a payload into the tensors that a model takes.
struct ModelInputs {
    let description: ModelDescription
    /// The columns of a row, if the model is one over rows.
    let featureCount: Int?

    init(_ model: any InferenceModel) {
        description = model.description
        featureCount = (model as? any TabularModel)?.featureCount
    }

    /// - Throws: `invalidArgument` naming what does not fit.
    func tensors(_ message: GraphMessage) throws(AerieError) -> [Tensor] {
        switch message.payload {
        case .tensors(let tensors):
            if tensors.count == 1, tensors[0].name.isEmpty { return try fit(tensors[0], message.names) }
            return tensors
        case .json(let value): return try tensors(of: value, names: message.names)
        case .text(let text):
            if let spec = only, spec.dataType == .bytes {
                return [Tensor(name: spec.name, shape: spec.shape.count == 2 ? [1, 1] : [1], texts: [text])]
            }
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue.parse(text) } catch {
                throw .invalid("strData", "the model takes numbers: send them as JSON (\(error.problem))")
            }
            return try tensors(of: value, names: message.names)
        case .bytes(let bytes): return [try raw(bytes)]
        case .opaque(let type, _): throw .invalid("customData", "the model does not know \(type)")
        }
    }

    /// The only input, if there is exactly one.
    private var only: TensorSpec? { description.inputs.count == 1 ? description.inputs[0] : nil }

    /// A tensor without a name: the model's only input, or, with names, a column for each of its inputs.
    private func fit(_ tensor: Tensor, _ names: [String]) throws(AerieError) -> [Tensor] {
        guard let spec = only else {
            guard names.count == tensor.shape.last, tensor.shape.count == 2 else {
                let inputs = description.inputs.map(\.name).joined(separator: ", ")
                throw .invalid("data", "the model takes the inputs \(inputs); name the columns so")
            }
            let rows = try NumberRows(GraphMessage(.tensors([tensor]), names: names))
            return try columns(rows)
        }
        guard tensor.dataType != .bytes, let width = featureCount ?? spec.shape.last, spec.shape.count == 2, width > 0
        else {
            // A list where the model wants a list, and a shape of more dimensions as it is.
            var tensor = tensor
            if spec.shape.count == 1, tensor.shape.count == 2, tensor.shape.contains(1) {
                tensor.shape = [tensor.shape[0] * tensor.shape[1]]
            }
            return [try tensor.cast(to: spec.dataType, name: spec.name)]
        }
        let rows = try NumberRows(GraphMessage(.tensors([tensor]), names: names), width: width)
        return [try matrix(rows, spec, width)]
    }

    /// Rows with the model's columns in its order.
    private func matrix(_ rows: NumberRows, _ spec: TensorSpec, _ width: Int) throws(AerieError) -> Tensor {
        guard rows.columns == width || rows.rows == 0 else {
            throw .invalid("data", "the rows have \(rows.columns) columns, the model takes \(width)")
        }
        let ordered = try Self.ordered(rows, description.featureNames)
        return try Tensor(
            name: spec.name, dataType: spec.dataType, shape: [rows.rows, width], numbers: ordered.values)
    }

    /// Names of another world leave the columns where they are; some of the model's own with one missing are a mistake.
    static func ordered(_ rows: NumberRows, _ features: [String]) throws(AerieError) -> NumberRows {
        guard !rows.names.isEmpty, features.count == rows.columns, rows.names != features else { return rows }
        let places = features.map { rows.names.firstIndex(of: $0) }
        guard let absent = places.firstIndex(of: nil) else {
            var turned = rows
            for row in 0..<rows.rows {
                for (column, place) in places.enumerated() { turned[row, column] = rows[row, place ?? column] }
            }
            turned.names = features
            return turned
        }
        if places.allSatisfy({ $0 == nil }) { return rows }
        throw .invalid(
            "data.names",
            "has no \(features[absent]), a column of the model; it has \(rows.names.joined(separator: ", "))")
    }

    private func columns(_ rows: NumberRows) throws(AerieError) -> [Tensor] {
        var tensors: [Tensor] = []
        for spec in description.inputs {
            guard let column = rows.names.firstIndex(of: spec.name) else {
                throw .invalid("data.names", "has no \(spec.name), an input of the model")
            }
            let numbers = (0..<rows.rows).map { rows[$0, column] }
            tensors.append(
                try Tensor(
                    name: spec.name, dataType: spec.dataType,
                    shape: spec.shape.count == 1 ? [rows.rows] : [rows.rows, 1], numbers: numbers))
        }
        return tensors
    }

    // MARK: JSON

    private func tensors(of value: JSONValue, names: [String]) throws(AerieError) -> [Tensor] {
        if let spec = only {
            if spec.dataType == .bytes { return [try texts(value, spec)] }
            var rows = try NumberRows.rows(of: value)
            if rows.names.isEmpty, names.count == rows.columns { rows.names = names }
            let tensor = Tensor(name: "", dataType: .fp64, shape: [rows.rows, rows.columns], elements: rows.values)
            return try fit(tensor, rows.names)
        }
        return try mixed(value, names: names)
    }

    private func texts(_ value: JSONValue, _ spec: TensorSpec) throws(AerieError) -> Tensor {
        var texts: [String] = []
        func collect(_ value: JSONValue) throws(AerieError) {
            if let list = value.array {
                for element in list { try collect(element) }
            } else if let text = value.string {
                texts.append(text)
            } else {
                throw .invalid("data", "the model takes texts")
            }
        }
        try collect(value)
        let width = spec.shape.count == 2 ? max(1, spec.shape[1]) : 1
        let shape = spec.shape.count == 2 ? [texts.count / width, width] : [texts.count]
        return Tensor(name: spec.name, shape: shape, texts: texts)
    }

    /// Rows of numbers and texts, a column for each of the model's inputs.
    private func mixed(_ value: JSONValue, names: [String]) throws(AerieError) -> [Tensor] {
        let list = value.object != nil ? [value] : value.array ?? []
        let rows = list.first?.array != nil || list.first?.object != nil ? list : [value]
        var tensors: [Tensor] = []
        for (place, spec) in description.inputs.enumerated() {
            let at = names.firstIndex(of: spec.name) ?? (names.isEmpty ? place : -1)
            var cells: [JSONValue] = []
            for (index, row) in rows.enumerated() {
                guard let cell = row.object != nil ? row[spec.name] : row[at] else {
                    throw .invalid("data[\(index)]", "has no \(spec.name), an input of the model")
                }
                cells.append(cell)
            }
            let shape = spec.shape.count == 1 ? [rows.count] : [rows.count, 1]
            if spec.dataType == .bytes {
                let texts = cells.map { $0.string ?? $0.text() }
                tensors.append(Tensor(name: spec.name, shape: shape, texts: texts))
            } else {
                let column = try NumberRows.rows(of: .array(cells.map { .array([$0]) }))
                tensors.append(
                    try Tensor(name: spec.name, dataType: spec.dataType, shape: shape, numbers: column.values))
            }
        }
        return tensors
    }

    // MARK: Bytes

    /// Whole rows of the model's own element type, or one element of a model that takes bytes.
    private func raw(_ bytes: [UInt8]) throws(AerieError) -> Tensor {
        guard let spec = only else { throw .invalid("binData", "the model has several inputs; send named ones") }
        guard let size = spec.dataType.byteCount else {
            var element: [UInt8] = []
            withUnsafeBytes(of: UInt32(bytes.count).littleEndian) { element.append(contentsOf: $0) }
            return Tensor(
                name: spec.name, dataType: .bytes, shape: spec.shape.count == 2 ? [1, 1] : [1], bytes: element + bytes)
        }
        let row = spec.shape.dropFirst().reduce(size) { $0 * max(1, $1) }
        guard row > 0, bytes.count % row == 0 else {
            throw .invalid("binData", "\(bytes.count) bytes are not whole rows of \(spec.dataType.rawValue) \(spec.shape)")
        }
        var shape = spec.shape.map { max(1, $0) }
        if !shape.isEmpty { shape[0] = bytes.count / row }
        return Tensor(name: spec.name, dataType: spec.dataType, shape: shape, bytes: bytes)
    }
}
