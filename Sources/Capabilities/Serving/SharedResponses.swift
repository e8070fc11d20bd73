public import AerieData

/// Answers that several servers keep together, behind each one's own cache.
///
/// Contract: a store that is away is a store without the answer: nothing here fails a request. Both calls may be made
/// from any task. An answer may leave at any time.
public protocol SharedResponses: Sendable {
    /// - Returns: what was kept; `nil` for nothing, and where the store does not answer.
    func answer(for key: ResponseKey) async -> [UInt8]?
    /// Keeps an answer for a while. Returns once it is handed over, kept or not.
    func keep(_ answer: [UInt8], for key: ResponseKey) async
}

/// The outputs of an answer as bytes: for each its name, type and shape, then its elements; lengths and dimensions are
/// little-endian, of 32 and 64 bits.
public enum ResponseCoding {
    private static let version: UInt8 = 1

    public static func encode(_ outputs: [Tensor]) -> [UInt8] {
        var bytes = [version]
        bytes.reserveCapacity(outputs.reduce(64) { $0 + $1.bytes.count + 64 })
        func append(_ text: String) {
            append(UInt32(text.utf8.count))
            bytes.append(contentsOf: text.utf8)
        }
        func append(_ number: some FixedWidthInteger) {
            withUnsafeBytes(of: number.littleEndian) { bytes.append(contentsOf: $0) }
        }
        append(UInt32(outputs.count))
        for output in outputs {
            append(output.name)
            append(output.dataType.rawValue)
            append(UInt32(output.shape.count))
            for dimension in output.shape { append(Int64(dimension)) }
            append(UInt64(output.bytes.count))
            bytes.append(contentsOf: output.bytes)
        }
        return bytes
    }

    /// - Returns: `nil` for anything that `encode` did not write: another version's bytes are no answer.
    public static func decode(_ bytes: [UInt8]) -> [Tensor]? {
        var reader = Reader(bytes: bytes)
        guard reader.byte() == version, let count = reader.number(UInt32.self), count <= 1024 else { return nil }
        var outputs: [Tensor] = []
        for _ in 0..<count {
            guard let name = reader.text(), let type = reader.text().flatMap(DataType.init(rawValue:)),
                let rank = reader.number(UInt32.self), rank <= 64
            else { return nil }
            var shape: [Int] = []
            for _ in 0..<rank {
                guard let dimension = reader.number(Int64.self), let size = Int(exactly: dimension) else { return nil }
                shape.append(size)
            }
            guard let size = reader.number(UInt64.self), let elements = reader.take(size),
                let expected = Tensor.elementCount(of: shape),
                type.byteCount.map({ expected.multipliedReportingOverflow(by: $0) == (elements.count, false) }) ?? true
            else { return nil }
            outputs.append(Tensor(name: name, dataType: type, shape: shape, bytes: elements))
        }
        return reader.isAtEnd ? outputs : nil
    }

    private struct Reader {
        let bytes: [UInt8]
        var at = 0

        var isAtEnd: Bool { at == bytes.count }

        mutating func byte() -> UInt8? {
            guard at < bytes.count else { return nil }
            defer { at += 1 }
            return bytes[at]
        }

        mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> Number? {
            let size = MemoryLayout<Number>.size
            guard bytes.count - at >= size else { return nil }
            defer { at += size }
            return bytes.withUnsafeBytes { Number(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: Number.self)) }
        }

        mutating func take(_ count: UInt64) -> [UInt8]? {
            guard count <= UInt64(bytes.count - at) else { return nil }
            defer { at += Int(count) }
            return Array(bytes[at..<(at + Int(count))])
        }

        mutating func text() -> String? {
            number(UInt32.self).flatMap { take(UInt64($0)) }.map { String(decoding: $0, as: UTF8.self) }
        }
    }
}
