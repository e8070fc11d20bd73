public import AerieCore

/// A message of Arrow's interprocess format: its header is a flatbuffer, its body the buffers of a batch.
/// Format: arrow.apache.org, "Arrow Columnar Format: Serialization and IPC", metadata version 5.
public enum ArrowMessage: Sendable {
    case schema(ArrowSchema)
    case batch(ArrowBatch)
    /// The values of a dictionary, as a batch of one column.
    case dictionary(id: Int64, ArrowBatch, isDelta: Bool)

    // MARK: Writing

    /// The header; the body of a batch is its `body`.
    public static func header(_ schema: ArrowSchema) throws(AerieError) -> [UInt8] {
        var builder = FlatBufferBuilder()
        let table = try write(schema, &builder)
        return message(kind: 1, table, bodyLength: 0, &builder)
    }

    static func write(
        _ schema: ArrowSchema, _ builder: inout FlatBufferBuilder
    ) throws(AerieError) -> FlatBufferBuilder.Place {
        var fields: [FlatBufferBuilder.Place] = []
        for field in schema.fields { fields.append(try ArrowTypeCoding.write(field, &builder)) }
        let list = builder.vector(of: fields)
        return builder.table([.short(0), .place(list)])
    }

    public static func header(_ batch: ArrowBatch) -> [UInt8] {
        var builder = FlatBufferBuilder()
        let buffers = builder.vector(of: batch.buffers.map { (Int64($0.lowerBound), Int64($0.count)) })
        let nodes = builder.vector(of: batch.nodes.map { (Int64($0.length), Int64($0.nullCount)) })
        let table = builder.table([.long(Int64(batch.length)), .place(nodes), .place(buffers)])
        return message(kind: 3, table, bodyLength: batch.body.count, &builder)
    }

    private static func message(
        kind: UInt8, _ header: FlatBufferBuilder.Place, bodyLength: Int, _ builder: inout FlatBufferBuilder
    ) -> [UInt8] {
        let root = builder.table([.short(4), .byte(kind), .place(header), .long(Int64(bodyLength))])
        return builder.finished(root: root)
    }

    // MARK: Reading

    /// - Throws: `invalidArgument` if the header is no message or does not fit the body; `unsupported` for compressed
    ///   bodies and for types that are not known.
    public init(header: [UInt8], body: [UInt8]) throws(AerieError) {
        let message = try FlatTable(header)
        let version = try message.number(0, default: Int16(0))
        guard version >= 3 else {
            throw AerieError(.unsupported, "the message is of Arrow's metadata version \(version + 1); 4 and 5 are read")
        }
        guard let content = try message.table(2) else { throw .invalid("", "the message has no header") }
        let kind = try message.number(1, default: UInt8(0))
        switch kind {
        case 1:
            guard try content.number(0, default: Int16(0)) == 0 else {
                throw AerieError(.unsupported, "the table is of big-endian numbers")
            }
            self = .schema(ArrowSchema(fields: try ArrowTypeCoding.read(try content.tables(1))))
        case 2:
            guard let data = try content.table(1) else { throw .invalid("", "the dictionary has no values") }
            self = .dictionary(
                id: try content.number(0, default: Int64(0)), try Self.batch(data, body),
                isDelta: try content.flag(2))
        case 3: self = .batch(try Self.batch(content, body))
        default: throw AerieError(.unsupported, "the message is of kind \(kind), which is no schema and no rows")
        }
    }

    private static func batch(_ table: FlatTable, _ body: [UInt8]) throws(AerieError) -> ArrowBatch {
        guard try table.table(3) == nil else {
            throw AerieError(.unsupported, "the rows are compressed; send them without compression")
        }
        var batch = ArrowBatch(length: try count(try table.number(0, default: Int64(0))), body: body)
        for (length, nulls) in try table.pairs(1) {
            batch.nodes.append(.init(length: try count(length), nullCount: try count(nulls)))
        }
        for (offset, length) in try table.pairs(2) {
            let (start, size) = (try count(offset), try count(length))
            guard size <= body.count, start <= body.count - size else {
                throw .invalid("", "a buffer of the rows is outside of the message's body")
            }
            guard start % 8 == 0 else { throw .invalid("", "a buffer of the rows is not aligned to 8 bytes") }
            batch.buffers.append(start..<(start + size))
        }
        return batch
    }

    private static func count(_ number: Int64) throws(AerieError) -> Int {
        guard number >= 0, number < 1 << 48 else { throw .invalid("", "a length in the message is \(number)") }
        return Int(number)
    }
}
