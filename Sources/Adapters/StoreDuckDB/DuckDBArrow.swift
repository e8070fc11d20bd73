import AerieArrow
import AerieCore
import CDuckDB

/// What the library gives as trees of buffers, as batches with all buffers in one piece.
enum DuckDBArrow {
    private static let nullable: Int64 = 2

    /// The columns of a table, which is a structure to the library.
    static func children(_ schema: cduckdb_arrow_schema) throws(AerieError) -> [ArrowField] {
        var fields: [ArrowField] = []
        for index in 0..<Int(schema.n_children) {
            guard let child = schema.children[index] else { throw broken }
            fields.append(
                ArrowField(
                    name: child.pointee.name.map { String(cString: $0) } ?? "",
                    format: format(child.pointee),
                    isNullable: child.pointee.flags & nullable != 0, children: try children(child.pointee)))
            guard child.pointee.dictionary == nil else { throw broken }
        }
        return fields
    }

    /// 128 bits are what a decimal has if nothing is said.
    private static func format(_ schema: cduckdb_arrow_schema) -> String {
        let format = schema.format.map { String(cString: $0) } ?? ""
        return format.hasPrefix("d:") && format.hasSuffix(",128") ? String(format.dropLast(4)) : format
    }

    private static let broken = AerieError(.internal, "DuckDB gave a table in a form that is not expected")

    static func batch(_ rows: cduckdb_arrow_array, of schema: ArrowSchema) throws(AerieError) -> ArrowBatch {
        var batch = ArrowBatch(length: Int(rows.length))
        guard Int(rows.n_children) == schema.fields.count, rows.offset == 0 else { throw broken }
        for (index, field) in schema.fields.enumerated() {
            guard let child = rows.children[index] else { throw broken }
            try append(child.pointee, field, to: &batch)
        }
        return batch
    }

    private static func append(
        _ array: cduckdb_arrow_array, _ field: ArrowField, to batch: inout ArrowBatch
    ) throws(AerieError) {
        guard let layout = ArrowLayout(format: field.format) else {
            throw AerieError(
                .unsupported, "column '\(field.name)' is of Arrow's type \(field.format), which is not written")
        }
        let length = Int(array.length)
        guard array.offset == 0, Int(array.n_buffers) == layout.bufferCount, array.null_count <= array.length,
            Int(array.n_children) == field.children.count
        else { throw broken }
        func buffer(_ index: Int, _ size: Int) -> UnsafeRawBufferPointer {
            guard let start = array.buffers[index] else { return UnsafeRawBufferPointer(start: nil, count: 0) }
            return UnsafeRawBufferPointer(start: start, count: size)
        }
        let bits = (length + 7) / 8
        let validity = layout == .null ? nil : buffer(0, bits)
        // The library may say that it does not know how many are null; then they are counted.
        var nulls = Int(array.null_count)
        if nulls < 0 { nulls = count(nullsOf: validity, length) }
        if layout == .null { nulls = length }
        batch.nodes.append(.init(length: length, nullCount: nulls))
        if let validity { batch.append(nulls == 0 ? UnsafeRawBufferPointer(start: nil, count: 0) : validity) }
        switch layout {
        case .null, .nested: break
        case .bits: batch.append(buffer(1, bits))
        case .fixed(let width): batch.append(buffer(1, length * width))
        case .list(let width): batch.append(buffer(1, (length + 1) * width))
        case .variable(let width):
            let offsets = buffer(1, (length + 1) * width)
            let end =
                offsets.isEmpty
                ? 0
                : width == 4
                    ? Int(offsets.loadUnaligned(fromByteOffset: length * 4, as: Int32.self))
                    : Int(offsets.loadUnaligned(fromByteOffset: length * 8, as: Int64.self))
            batch.append(offsets)
            batch.append(buffer(2, end))
        }
        for (index, child) in field.children.enumerated() {
            guard let part = array.children[index] else { throw broken }
            try append(part.pointee, child, to: &batch)
        }
    }

    private static func count(nullsOf validity: UnsafeRawBufferPointer?, _ length: Int) -> Int {
        guard let validity, !validity.isEmpty else { return 0 }
        return (0..<length).reduce(0) { $0 + (validity[$1 >> 3] >> UInt8($1 & 7) & 1 == 0 ? 1 : 0) }
    }
}

/// A batch as a tree of buffers in memory that lives as long as this. The batch must have been checked.
final class DuckDBArrowMemory {
    let schema: UnsafeMutablePointer<cduckdb_arrow_schema>
    let array: UnsafeMutablePointer<cduckdb_arrow_array>
    private let body: UnsafeMutableRawPointer
    private var frees: [() -> Void] = []
    private var node = 0
    private var buffer = 0

    init(_ batch: ArrowBatch, _ schema: ArrowSchema) throws(AerieError) {
        let memory = UnsafeMutableRawPointer.allocate(byteCount: max(batch.body.count, 64), alignment: 64)
        batch.body.withUnsafeBytes { bytes in
            if let base = bytes.baseAddress { memory.copyMemory(from: base, byteCount: bytes.count) }
        }
        body = memory
        self.schema = .allocate(capacity: 1)
        array = .allocate(capacity: 1)
        self.schema.initialize(to: cduckdb_arrow_schema())
        array.initialize(to: cduckdb_arrow_array())
        let whole = ArrowField(name: "", format: "+s", isNullable: false, children: schema.fields)
        try fill(self.schema, array, whole, batch, isRoot: true)
    }

    deinit {
        for free in frees { free() }
        schema.deallocate()
        array.deallocate()
        body.deallocate()
    }

    private func keep<Element>(_ count: Int, _ value: Element) -> UnsafeMutablePointer<Element> {
        let memory = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
        memory.initialize(repeating: value, count: max(count, 1))
        frees.append { memory.deallocate() }
        return memory
    }

    private func text(_ text: String) -> UnsafePointer<CChar> {
        let bytes = text.utf8CString
        let memory = keep(bytes.count, CChar(0))
        for (index, byte) in bytes.enumerated() { memory[index] = byte }
        return UnsafePointer(memory)
    }

    private func fill(
        _ schema: UnsafeMutablePointer<cduckdb_arrow_schema>, _ array: UnsafeMutablePointer<cduckdb_arrow_array>,
        _ field: ArrowField, _ batch: ArrowBatch, isRoot: Bool
    ) throws(AerieError) {
        let layout = ArrowLayout(format: field.format) ?? .nested
        schema.pointee.format = text(field.format)
        schema.pointee.name = text(field.name)
        schema.pointee.flags = field.isNullable ? 2 : 0
        let buffers = keep(layout.bufferCount, UnsafeRawPointer?.none)
        if isRoot {
            array.pointee.length = Int64(batch.length)
            array.pointee.n_buffers = 1
        } else {
            array.pointee.length = Int64(batch.nodes[node].length)
            array.pointee.null_count = Int64(batch.nodes[node].nullCount)
            node += 1
            array.pointee.n_buffers = Int64(layout.bufferCount)
            for index in 0..<layout.bufferCount {
                let place = batch.buffers[buffer + index]
                // Validity may be left out; nothing else may.
                if index > 0 || !place.isEmpty { buffers[index] = UnsafeRawPointer(body + place.lowerBound) }
            }
            buffer += layout.bufferCount
        }
        array.pointee.buffers = buffers
        let count = field.children.count
        let schemas = keep(count, UnsafeMutablePointer<cduckdb_arrow_schema>?.none)
        let arrays = keep(count, UnsafeMutablePointer<cduckdb_arrow_array>?.none)
        for (index, child) in field.children.enumerated() {
            let (one, rows) = (keep(1, cduckdb_arrow_schema()), keep(1, cduckdb_arrow_array()))
            try fill(one, rows, child, batch, isRoot: false)
            (schemas[index], arrays[index]) = (one, rows)
        }
        if let dictionary = field.dictionary, let values = batch.dictionaries[dictionary.id] {
            let memory = try DuckDBArrowMemory(values, ArrowSchema(fields: dictionary.values))
            schema.pointee.dictionary = memory.schema.pointee.children[0]
            array.pointee.dictionary = memory.array.pointee.children[0]
            frees.append { _ = memory }
        }
        (schema.pointee.n_children, array.pointee.n_children) = (Int64(count), Int64(count))
        (schema.pointee.children, array.pointee.children) = (schemas, arrays)
        cduckdb_keep_arrow(schema, array)
    }
}
