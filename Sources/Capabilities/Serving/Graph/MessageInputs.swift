public import AerieCore
public import AerieData
import AerieJSON

extension ServedPredictor {
    /// A message's payload as the tensors that the predictor's one model takes.
    /// - Throws: `invalidArgument` naming what does not fit.
    public func inputs(of message: GraphMessage) throws(AerieError) -> [Tensor] {
        try ModelInputs(model).tensors(message)
    }
}

extension GraphMessage {
    /// Each named column as a tensor of its own, named tensors as they are; `nil` where nobody names anything.
    public var namedColumns: [Tensor]? {
        if case .json(let value) = payload {
            let rows = value.object != nil ? [value] : value.array ?? []
            guard let names = rows.first?.object?.keys ?? (names.isEmpty ? nil : names) else { return nil }
            let lists = rows.first?.array != nil || rows.first?.object != nil ? rows : [value]
            return names.enumerated().map { place, name in
                let cells = lists.map { ($0.object != nil ? $0[name] : $0[place]) ?? .null }
                if cells.allSatisfy({ $0.int != nil }) {
                    return Tensor(
                        name: name, dataType: .int64, shape: [cells.count], elements: cells.map { $0.int ?? 0 })
                }
                if cells.allSatisfy({ $0.double != nil || $0.isNull }) {
                    return Tensor(
                        name: name, dataType: .fp64, shape: [cells.count], elements: cells.map { $0.double ?? .nan })
                }
                return Tensor(name: name, shape: [cells.count], texts: cells.map { $0.string ?? $0.text() })
            }
        }
        guard case .tensors(let tensors) = payload else { return nil }
        if tensors.allSatisfy({ !$0.name.isEmpty }) { return tensors }
        guard tensors.count == 1, !names.isEmpty,
            let rows = try? NumberRows(self, width: names.count), rows.columns == names.count
        else { return nil }
        return names.enumerated().map { column, name in
            let values = (0..<rows.rows).map { rows[$0, column] }
            // Join keys are whole numbers or texts; a column of whole numbers may be one.
            let whole = values.compactMap { Int64(exactly: $0) }
            return whole.count == values.count
                ? Tensor(name: name, dataType: .int64, shape: [values.count], elements: whole)
                : Tensor(name: name, dataType: .fp64, shape: [values.count], elements: values)
        }
    }
}
