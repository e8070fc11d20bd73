import AerieCore
import AerieData

/// Turns the inputs of a request into the rows of a tabular model: one tensor [rows, columns], one row [columns], or a
/// tensor for each column, matched by name.
struct RowAssembler {
    let plan: PredictorPlan
    let scratch: InferScratch

    /// The row matrix and its number of rows. The memory is the scratch's.
    func assemble() throws(AerieError) -> (rows: UnsafeMutableRawPointer, count: Int) {
        for index in scratch.inputs.indices { try check(index) }
        guard let first = scratch.inputs.first else { throw .invalid("inputs", "the list of inputs is empty") }
        let features = plan.featureCount
        if scratch.inputs.count == 1 {
            let rank = first.dims.count
            let last = first.dims.last.map { scratch.dims[$0] } ?? 0
            if rank == 2, last == features { return (scratch.elements.base, scratch.dims[first.dims.lowerBound]) }
            if rank == 1, last == features { return (scratch.elements.base, 1) }
            if rank == 1, features == 1 { return (scratch.elements.base, last) }
            if !(features > 1 && rank <= 2 && (rank == 1 || last == 1) && isFeature(first.name)) {
                throw .invalid(
                    "inputs[0].shape",
                    "\(scratch.shape(first.dims)) does not fit the model, which takes [rows, \(features)]")
            }
        }
        return try turnColumns()
    }

    private func isFeature(_ name: Range<Int>) -> Bool { plan.featureNames.contains { scratch.isEqual(name, $0) } }

    /// One input's type, shape and number of elements against each other.
    private func check(_ index: Int) throws(AerieError) {
        let part = scratch.inputs[index]
        guard let type = part.dataType else { throw .invalid("inputs[\(index)].datatype", "missing") }
        guard part.hasShape else { throw .invalid("inputs[\(index)].shape", "missing") }
        guard type != .bytes else {
            throw .invalid(
                "inputs[\(index)].datatype", "BYTES are no numbers; the model takes \(plan.rowType.rawValue)")
        }
        guard let count = scratch.elementCount(part.dims) else {
            throw .invalid(
                "inputs[\(index)].shape", "\(scratch.shape(part.dims)) has a negative dimension or is too large")
        }
        guard part.hasData else { throw .invalid("inputs[\(index)].data", "missing") }
        if part.binarySize == nil, part.raw.baseAddress == nil {
            if type == .fp16 || type == .bf16 {
                throw .invalid(
                    "inputs[\(index)].datatype", "\(type.rawValue) has no JSON form; use the binary data format")
            }
            if part.list.hasMissing, type != .fp32, type != .fp64 {
                throw .invalid(
                    "inputs[\(index)].data", "a missing value in \(type.rawValue); only FP32 and FP64 have one")
            }
            if part.list.isRagged { throw .invalid("inputs[\(index)].data", "the nested lists differ in length") }
        }
        if part.list.count != count {
            throw .invalid(
                "inputs[\(index)].data",
                "has \(part.list.count) elements, but shape \(scratch.shape(part.dims)) needs \(count)")
        }
    }

    private func turnColumns() throws(AerieError) -> (rows: UnsafeMutableRawPointer, count: Int) {
        guard !plan.featureNames.isEmpty else {
            throw .invalid(
                "inputs", "the model does not know its columns' names; send one tensor [rows, \(plan.featureCount)]")
        }
        let rows = scratch.inputs[0].list.count
        let size = plan.rowType == .fp64 ? 8 : 4
        let (cells, overflow) = rows.multipliedReportingOverflow(by: plan.featureCount)
        guard !overflow, cells < 1 << 27 else {
            throw AerieError(.resourceExhausted, "inputs: \(rows) rows are too many for one request")
        }
        scratch.turned.resize(to: cells * size)
        for column in plan.featureNames.indices {
            let name = plan.featureNames[column]
            guard let index = scratch.inputs.firstIndex(where: { scratch.isEqual($0.name, name) }) else {
                throw .invalid("inputs", "there is no input for the column \(String(decoding: name, as: UTF8.self))")
            }
            let part = scratch.inputs[index]
            guard part.list.count == rows, part.dims.count <= 2,
                part.dims.count < 2 || scratch.dims[part.dims.upperBound - 1] == 1
            else {
                throw .invalid(
                    "inputs[\(index)].shape", "\(scratch.shape(part.dims)) is not a column of \(rows) rows")
            }
            if size == 8 { turn(part, column, as: Double.self) } else { turn(part, column, as: Float.self) }
        }
        try refuseStrangers()
        return (scratch.turned.base, rows)
    }

    private func turn<Scalar: RowScalar>(_ part: InputPart, _ column: Int, as _: Scalar.Type) {
        let source = scratch.elements.base.assumingMemoryBound(to: Scalar.self) + part.firstElement
        let target = scratch.turned.base.assumingMemoryBound(to: Scalar.self) + column
        for row in 0..<part.list.count { target[row * plan.featureCount] = source[row] }
    }

    private func refuseStrangers() throws(AerieError) {
        for index in scratch.inputs.indices {
            let name = scratch.inputs[index].name
            guard isFeature(name) else {
                throw .invalid("inputs[\(index)].name", "the model has no column \(scratch.string(name))")
            }
            for other in 0..<index where scratch.areEqual(scratch.inputs[other].name, name) {
                throw .invalid("inputs[\(index)].name", "\(scratch.string(name)) is given twice")
            }
        }
    }
}
