import AerieCore
import AerieData
import AerieJSON

/// A prediction request in Seldon's JSON, its numbers read into the scratch.
struct SeldonMessage {
    enum Form { case ndarray, tensor }

    var form = Form.ndarray
    var rows = 0
    var columns = 0
    /// `data.names`, as ranges of the scratch's text.
    var names: [Range<Int>] = []
    var puid: Range<Int>?
    private var hasData = false

    init() {}

    /// - Parameter rowType: the element type that the numbers are read as.
    static func read(
        _ body: UnsafeRawBufferPointer, into scratch: InferScratch, rowType: DataType
    ) throws(AerieError) -> SeldonMessage {
        var message = SeldonMessage()
        var reader = JSONReader(body)
        do throws(JSONError) {
            try message.readMessage(&reader, scratch, rowType)
            try reader.end()
        } catch {
            throw error.asAerieError(in: "request body")
        }
        guard message.hasData else { throw .invalid("data", "the request needs data.ndarray or data.tensor") }
        return message
    }

    /// Whether the body is a message with another payload than rows of numbers.
    static func hasOtherPayload(_ body: UnsafeRawBufferPointer) -> Bool {
        var reader = JSONReader(body)
        do throws(JSONError) {
            try reader.beginObject()
            while let key = try reader.nextKey() {
                if reader.matches(key, "binData") || reader.matches(key, "strData") || reader.matches(key, "jsonData")
                    || reader.matches(key, "customData")
                {
                    return true
                }
                guard reader.matches(key, "data"), try reader.peek() == .object else {
                    try reader.skipValue()
                    continue
                }
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if reader.matches(key, "tftensor") { return true }
                    try reader.skipValue()
                }
            }
        } catch { return false }
        return false
    }

    private mutating func readMessage(
        _ reader: inout JSONReader, _ scratch: InferScratch, _ rowType: DataType
    ) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "data") {
                try readData(&reader, scratch, rowType)
            } else if reader.matches(key, "meta"), try reader.peek() == .object {
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if reader.matches(key, "puid") {
                        puid = try keepText(&reader, scratch)
                    } else {
                        try reader.skipValue()
                    }
                }
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func readData(
        _ reader: inout JSONReader, _ scratch: InferScratch, _ rowType: DataType
    ) throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "ndarray") {
                try once(reader)
                let offset = reader.offset
                let list = try numbers(&reader, scratch, rowType)
                if list.isRagged { throw JSONError(offset: offset, problem: "the rows of ndarray differ in length") }
                if list.depth > 2 {
                    throw JSONError(offset: offset, problem: "ndarray is nested more than rows of numbers")
                }
                rows = list.depth == 1 ? (list.count == 0 ? 0 : 1) : list.rows
                columns = list.depth == 1 ? list.count : list.width
            } else if reader.matches(key, "tensor") {
                try once(reader)
                form = .tensor
                try readTensor(&reader, scratch, rowType)
            } else if reader.matches(key, "names") {
                try reader.beginArray()
                while try reader.nextElement() { names.append(try keepText(&reader, scratch)) }
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func once(_ reader: JSONReader) throws(JSONError) {
        if hasData { throw JSONError(offset: reader.offset, problem: "data holds more than one of ndarray and tensor") }
        hasData = true
    }

    private mutating func readTensor(
        _ reader: inout JSONReader, _ scratch: InferScratch, _ rowType: DataType
    ) throws(JSONError) {
        var shape: [Int] = []
        var count = 0
        let offset = reader.offset
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "shape") {
                try reader.beginArray()
                while try reader.nextElement() { shape.append(Int(truncatingIfNeeded: try reader.readInt())) }
            } else if reader.matches(key, "values") {
                count = try numbers(&reader, scratch, rowType).count
            } else {
                try reader.skipValue()
            }
        }
        guard shape.count == 1 || shape.count == 2, MessageShape.elementCount(shape) == count else {
            throw JSONError(offset: offset, problem: "tensor.shape \(shape) does not fit its \(count) values")
        }
        rows = shape.count == 2 ? shape[0] : 1
        columns = shape[shape.count - 1]
    }

    private func numbers(
        _ reader: inout JSONReader, _ scratch: InferScratch, _ rowType: DataType
    ) throws(JSONError) -> NumberList {
        rowType == .fp64
            ? try readNumbers(&reader, as: Double.self, into: scratch.elements)
            : try readNumbers(&reader, as: Float.self, into: scratch.elements)
    }

    private func keepText(_ reader: inout JSONReader, _ scratch: InferScratch) throws(JSONError) -> Range<Int> {
        let text = try reader.readText()
        if !reader.raw(text).contains(UInt8(ascii: "\\")) { return scratch.keep(reader.raw(text)) }
        let start = scratch.text.count
        scratch.text.append(contentsOf: try reader.string(text).utf8)
        return start..<scratch.text.count
    }

    /// The rows in the model's order of columns: turned if `names` are the model's own names in another order.
    /// - Throws: `invalidArgument` for another number of columns, or if only some of the names are the model's.
    func orderedRows(_ plan: PredictorPlan, _ scratch: InferScratch) throws(AerieError) -> UnsafeMutableRawPointer {
        guard columns == plan.featureCount || rows == 0 else {
            throw .invalid("data", "the rows have \(columns) columns, the model takes \(plan.featureCount)")
        }
        guard !names.isEmpty, names.count == plan.featureNames.count, names.count == columns else {
            return scratch.elements.base
        }
        var order: [Int] = []
        var absent: [UInt8]?
        for feature in plan.featureNames {
            if let at = names.firstIndex(where: { scratch.isEqual($0, feature) }) { order.append(at) }
            else { absent = absent ?? Array(feature) }
        }
        if let absent {
            // Names of another world ("f0", "t:0") leave the columns where they are. Some of the model's own with one
            // missing is a mistake that would give a number with no meaning.
            if order.isEmpty { return scratch.elements.base }
            let theirs = names.map { scratch.string($0) }.joined(separator: ", ")
            throw .invalid(
                "data.names", "has no \(String(decoding: absent, as: UTF8.self)), a column of the model; it has \(theirs)")
        }
        if order.elementsEqual(0..<columns) { return scratch.elements.base }
        let size = plan.rowType == .fp64 ? 8 : 4
        scratch.turned.resize(to: rows * columns * size)
        for row in 0..<rows {
            for column in 0..<columns {
                let from = (row * columns + order[column]) * size
                (scratch.turned.base + (row * columns + column) * size)
                    .copyMemory(from: scratch.elements.base + from, byteCount: size)
            }
        }
        return scratch.turned.base
    }
}
