public import AerieCore

/// Frames messages as an Arrow file, which is also what Feather calls version 2: the stream of messages between two
/// marks, and a footer that says where each batch is, so that readers can map the file and start anywhere.
///
/// Gives bytes and writes nothing; call `begin`, `append` for each batch, and `end` once, and put what they give one
/// after the other. Format: arrow.apache.org, "IPC File Format".
public struct ArrowFile: Sendable {
    private static let mark = Array("ARROW1".utf8)
    private let schema: ArrowSchema
    private var length = 0
    private var blocks: [FlatBufferBuilder.Block] = []

    public init(schema: ArrowSchema) { self.schema = schema }

    /// - Throws: `unsupported` for a column of a type that is not written.
    public mutating func begin() throws(AerieError) -> [UInt8] {
        let bytes = Self.mark + [0, 0] + Self.framed(try ArrowMessage.header(schema))
        length = bytes.count
        return bytes
    }

    public mutating func append(_ batch: ArrowBatch) -> [UInt8] {
        let header = Self.framed(ArrowMessage.header(batch))
        blocks.append(.init(offset: Int64(length), header: Int64(header.count), body: Int64(batch.body.count)))
        length += header.count + batch.body.count
        return header + batch.body
    }

    public func end() throws(AerieError) -> [UInt8] {
        var builder = FlatBufferBuilder()
        let batches = builder.vector(of: blocks)
        let dictionaries = builder.vector(of: [FlatBufferBuilder.Block]())
        let schema = try ArrowMessage.write(schema, &builder)
        let root = builder.table([.short(4), .place(schema), .place(dictionaries), .place(batches)])
        let footer = builder.finished(root: root)
        return Self.marker + Self.little(0) + footer + Self.little(footer.count) + Self.mark
    }

    private static let marker: [UInt8] = [0xff, 0xff, 0xff, 0xff]

    /// A header is a multiple of 8 bytes long, and so is what stands before it.
    private static func framed(_ header: [UInt8]) -> [UInt8] { marker + little(header.count) + header }

    private static func little(_ number: Int) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
    }
}
