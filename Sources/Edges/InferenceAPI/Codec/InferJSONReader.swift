import AerieCore
import AerieData
import AerieHTTP
import AerieJSON

/// Reads the JSON of an Open Inference Protocol request into the scratch.
///
/// With `rowType` the numbers of every input go straight into the scratch's elements, as a tabular model takes them;
/// without, their places are kept and `TensorBuilder` reads them once their types are known.
struct InferJSONReader {
    private var reader: JSONReader
    private let scratch: InferScratch
    private let rowType: DataType?
    private var hasInputs = false

    init(_ json: UnsafeRawBufferPointer, into scratch: InferScratch, rowType: DataType?) {
        reader = JSONReader(json)
        self.scratch = scratch
        self.rowType = rowType
    }

    mutating func read() throws(AerieError) {
        do throws(JSONError) {
            try readRequest()
        } catch {
            throw error.asAerieError(in: "request body")
        }
        if !hasInputs { throw .invalid("inputs", "the request has no inputs") }
    }

    private mutating func readRequest() throws(JSONError) {
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "inputs") {
                hasInputs = true
                try reader.beginArray()
                while try reader.nextElement() { try readInput() }
            } else if reader.matches(key, "id") {
                let text = try reader.readText()
                scratch.id = scratch.keep(reader.raw(text))
            } else if reader.matches(key, "outputs") {
                if try reader.peek() == .null { try reader.readNull(); continue }
                try reader.beginArray()
                while try reader.nextElement() { try readOutput() }
            } else if reader.matches(key, "parameters") {
                try readRequestParameters()
            } else {
                try reader.skipValue()
            }
        }
        try reader.end()
    }

    private mutating func readRequestParameters() throws(JSONError) {
        if try reader.peek() == .null { return try reader.readNull() }
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "binary_data_output") {
                scratch.binaryByDefault = try reader.readBool()
            } else if reader.matches(key, "priority"), try reader.peek() == .number {
                scratch.terms.priority = try readTerm(1 << 20)
            } else if reader.matches(key, "timeout"), try reader.peek() == .number {
                // In microseconds.
                scratch.terms.timeout = UInt64(try readTerm(1 << 50)) * 1000
            } else if reader.matches(key, "explain") {
                try readExplain()
            } else {
                try reader.skipValue()
            }
        }
    }

    /// A flag, or `"interactions"`.
    private mutating func readExplain() throws(JSONError) {
        if try reader.peek() == .bool {
            scratch.explain = try reader.readBool() ? .values : nil
            return
        }
        let offset = reader.offset
        guard try reader.peek() == .string, try reader.readString() == "interactions" else {
            throw JSONError(offset: offset, problem: "explain is true, false or \"interactions\"")
        }
        scratch.explain = .interactions
    }

    private mutating func readTerm(_ limit: Int64) throws(JSONError) -> Int {
        let offset = reader.offset
        let value = try reader.readInt()
        guard (0...limit).contains(value) else { throw JSONError(offset: offset, problem: "a number from 0 was expected") }
        return Int(value)
    }

    private mutating func readInput() throws(JSONError) {
        var part = InputPart()
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "data") {
                try readData(&part)
            } else if reader.matches(key, "shape") {
                part.hasShape = true
                let start = scratch.dims.count
                try reader.beginArray()
                while try reader.nextElement() {
                    let offset = reader.offset
                    guard let dimension = Int(exactly: try reader.readInt()) else {
                        throw JSONError(offset: offset, problem: "the dimension is too large")
                    }
                    scratch.dims.append(dimension)
                }
                part.dims = start..<scratch.dims.count
            } else if reader.matches(key, "name") {
                part.name = try readName()
            } else if reader.matches(key, "datatype") {
                part.dataType = try readDataType()
            } else if reader.matches(key, "parameters") {
                try readInputParameters(&part)
            } else {
                try reader.skipValue()
            }
        }
        scratch.inputs.append(part)
    }

    private mutating func readData(_ part: inout InputPart) throws(JSONError) {
        if part.hasData { throw JSONError(offset: reader.offset, problem: "the input has data twice") }
        part.hasData = true
        guard let rowType else {
            _ = try reader.peek()
            let start = reader.offset
            try reader.skipValue()
            part.json = start..<reader.offset
            return
        }
        if rowType == .fp64 {
            part.firstElement = scratch.elements.count / 8
            part.list = try readNumbers(&reader, as: Double.self, into: scratch.elements)
        } else {
            part.firstElement = scratch.elements.count / 4
            part.list = try readNumbers(&reader, as: Float.self, into: scratch.elements)
        }
    }

    private mutating func readInputParameters(_ part: inout InputPart) throws(JSONError) {
        if try reader.peek() == .null { return try reader.readNull() }
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "binary_data_size") {
                let offset = reader.offset
                guard let size = Int(exactly: try reader.readInt()), size >= 0 else {
                    throw JSONError(offset: offset, problem: "binary_data_size is negative")
                }
                part.binarySize = size
            } else if reader.matches(key, "shared_memory_region") {
                throw JSONError(
                    offset: reader.offset, problem: "shared memory is not carried out; send the data itself")
            } else {
                try reader.skipValue()
            }
        }
    }

    private mutating func readOutput() throws(JSONError) {
        var ask = OutputAsk()
        let start = reader.offset
        var hasName = false
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "name") {
                ask.name = try readName()
                hasName = true
            } else if reader.matches(key, "parameters"), try reader.peek() == .object {
                try reader.beginObject()
                while let key = try reader.nextKey() {
                    if reader.matches(key, "binary_data") {
                        ask.isBinary = try reader.readBool()
                    } else if reader.matches(key, "classification") {
                        throw JSONError(
                            offset: reader.offset, problem: "the classification extension is not carried out")
                    } else {
                        try reader.skipValue()
                    }
                }
            } else {
                try reader.skipValue()
            }
        }
        if !hasName { throw JSONError(offset: start, problem: "an output without name is asked for") }
        scratch.outputs.append(ask)
    }

    private mutating func readName() throws(JSONError) -> Range<Int> {
        let text = try reader.readText()
        if !text.hasEscapes { return scratch.keep(reader.raw(text)) }
        let string = try reader.string(text)
        let start = scratch.text.count
        scratch.text.append(contentsOf: string.utf8)
        return start..<scratch.text.count
    }

    private mutating func readDataType() throws(JSONError) -> DataType {
        let text = try reader.readText()
        if let type = dataType(named: reader.raw(text)) { return type }
        throw JSONError(offset: text.start, problem: "no such datatype: \(try reader.string(text))")
    }
}

/// The element type of that name. No allocation.
func dataType(named name: UnsafeRawBufferPointer) -> DataType? {
    if equals(name, "FP32") { return .fp32 }
    if equals(name, "FP64") { return .fp64 }
    if equals(name, "INT64") { return .int64 }
    guard name.count <= 6 else { return nil }
    return DataType(rawValue: String(decoding: name, as: UTF8.self))
}
