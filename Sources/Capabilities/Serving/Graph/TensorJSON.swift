import AerieCore
public import AerieData
public import AerieJSON

extension Tensor {
    /// Lists in lists by the tensor's shape, in the shortest digits of its element type.
    public var nestedJSON: JSONValue {
        var place = 0
        let elements = jsonElements
        func level(_ depth: Int) -> JSONValue {
            if depth == shape.count {
                defer { place += 1 }
                return place < elements.count ? elements[place] : .null
            }
            return .array((0..<shape[depth]).map { _ in level(depth + 1) })
        }
        return level(0)
    }

    /// Each element as JSON says it; what is no number there is null.
    public var jsonElements: [JSONValue] {
        func whole<Element: FixedWidthInteger & BitwiseCopyable>(_ type: Element.Type) -> [JSONValue] {
            elements(as: type).map { .int(Int64(clamping: $0)) }
        }
        switch dataType {
        case .bool: return elements(as: UInt8.self).map { .bool($0 != 0) }
        case .uint8: return whole(UInt8.self)
        case .uint16: return whole(UInt16.self)
        case .uint32: return whole(UInt32.self)
        case .uint64: return whole(UInt64.self)
        case .int8: return whole(Int8.self)
        case .int16: return whole(Int16.self)
        case .int32: return whole(Int32.self)
        case .int64: return whole(Int64.self)
        // The text of a float is shorter than that of the double with its value.
        case .fp32: return elements(as: Float.self).map { $0.isFinite ? .double(Double("\($0)") ?? Double($0)) : .null }
        case .fp64: return elements(as: Double.self).map { $0.isFinite ? .double($0) : .null }
        case .fp16: return elements(as: UInt16.self).map { .double(Double(HalfPrecision.value(of: $0))) }
        case .bf16: return elements(as: UInt16.self).map { .double(Double(Float(bitPattern: UInt32($0) << 16))) }
        case .bytes: return (byteElements ?? []).map { .string(String(decoding: $0, as: UTF8.self)) }
        }
    }
}

extension GraphMessage {
    /// The payload row by row: a list, or an object where the columns have names; at least one.
    public var jsonRows: [JSONValue] {
        switch payload {
        case .tensors(let tensors): Self.rows(tensors, names: names)
        case .json(let value): value.object != nil ? [value] : value.array.flatMap { $0.isEmpty ? nil : $0 } ?? [value]
        case .text(let text): [.string(text)]
        case .bytes(let bytes): [.string(Base64.standard.encode(bytes))]
        case .opaque(let type, let value): [["@type": .string(type), "value": .string(Base64.standard.encode(value))]]
        }
    }

    private static func rows(_ tensors: [Tensor], names: [String]) -> [JSONValue] {
        // A shape may promise rows of nothing.
        guard tensors.contains(where: { !$0.bytes.isEmpty }) else { return [[]] }
        let count = max(1, tensors.first?.shape.first ?? 1)
        let columns = tensors.map { tensor in
            let nested = tensor.nestedJSON.array
            return (name: tensor.name, cells: nested?.count == count ? nested ?? [] : [tensor.nestedJSON])
        }
        if columns.count == 1, columns[0].name.isEmpty {
            return columns[0].cells.map { row in
                guard let cells = row.array, cells.count == names.count, !names.isEmpty else { return row }
                return .object(JSONObject(Array(zip(names, cells))))
            }
        }
        return (0..<count).map { row in
            .object(
                JSONObject(
                    columns.map { column in
                        let cell = column.cells.indices.contains(row) ? column.cells[row] : .null
                        return (column.name, cell.array.flatMap { $0.count == 1 ? $0[0] : nil } ?? cell)
                    }))
        }
    }
}
