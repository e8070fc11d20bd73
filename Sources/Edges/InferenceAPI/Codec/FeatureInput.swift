import AerieData
import AerieJSON

/// One input of a request that names entities or gives a column, read without allocation as far as it is of the usual
/// form. Whatever else it is, its readers give up and the general way looks at it.
struct FeatureInput {
    let part: InputPart
    let scratch: InferScratch
    let body: UnsafeRawBufferPointer

    /// The elements that the shape promises; `nil` for an input that lacks something.
    private var promised: Int? {
        guard part.hasShape, part.hasData else { return nil }
        return scratch.elementCount(part.dims)
    }

    private var json: JSONReader? {
        part.json.isEmpty ? nil : JSONReader(UnsafeRawBufferPointer(rebasing: body[part.json]))
    }

    /// Entities by whole numbers (INT64, INT32) or texts of ASCII.
    /// - Returns: false if something else is there, or somebody does not want it.
    func forEachKey(_ number: (Int64) -> Bool, _ text: (UnsafeRawBufferPointer) -> Bool) -> Bool {
        guard let promised, let type = part.dataType else { return false }
        switch type {
        case .int64, .int32:
            guard let seen = integers(type, number) else { return false }
            return seen == promised
        case .bytes:
            guard let seen = try? texts(text) else { return false }
            return seen == promised
        default: return false
        }
    }

    /// Numbers of FP64, FP32, INT64 or INT32, each as its type first.
    func forEachNumber<Scalar: RowScalar>(as _: Scalar.Type, _ body: (Scalar) -> Void) -> Bool {
        guard let promised, let type = part.dataType else { return false }
        let seen: Int?
        switch type {
        case .fp64: seen = reals(Double.self) { body(Scalar($0)) }
        case .fp32: seen = reals(Float.self) { body(Scalar($0)) }
        case .int64, .int32:
            seen = integers(type) {
                body(Scalar($0))
                return true
            }
        default: return false
        }
        return seen == promised
    }

    /// - Returns: how many there are; `nil` for what is none.
    private func integers(_ type: DataType, _ take: (Int64) -> Bool) -> Int? {
        guard var reader = json else {
            let width = type == .int64 ? 8 : 4
            for at in stride(from: 0, to: part.raw.count - width + 1, by: width) {
                let number =
                    width == 8
                    ? part.raw.loadUnaligned(fromByteOffset: at, as: Int64.self)
                    : Int64(part.raw.loadUnaligned(fromByteOffset: at, as: Int32.self))
                guard take(number) else { return nil }
            }
            return part.raw.count / width
        }
        var count = 0
        do throws(JSONError) {
            guard try reader.peek() == .array else { return nil }
            try reader.beginArray()
            while try reader.nextElement() {
                guard try reader.peek() == .number else { return nil }
                let number = try reader.readInt()
                guard type == .int64 || Int32(exactly: number) != nil, take(number) else { return nil }
                count += 1
            }
            return count
        } catch { return nil }
    }

    private func reals<Source: RowScalar>(_: Source.Type, _ take: (Source) -> Void) -> Int? {
        let width = MemoryLayout<Source>.size
        guard var reader = json else {
            for at in stride(from: 0, to: part.raw.count - width + 1, by: width) {
                take(part.raw.loadUnaligned(fromByteOffset: at, as: Source.self))
            }
            return part.raw.count / width
        }
        scratch.elements.clear()
        guard let list = try? readNumbers(&reader, as: Source.self, into: scratch.elements) else { return nil }
        for at in 0..<list.count {
            take(scratch.elements.base.loadUnaligned(fromByteOffset: at * width, as: Source.self))
        }
        return list.count
    }

    private func texts(_ take: (UnsafeRawBufferPointer) -> Bool) throws(JSONError) -> Int? {
        func isPlain(_ text: UnsafeRawBufferPointer) -> Bool {
            for byte in text where byte >= 0x80 || byte == UInt8(ascii: "\\") { return false }
            return true
        }
        var count = 0
        guard var reader = json else {
            // Lengths were looked at when the request was read.
            var at = 0
            while at + 4 <= part.raw.count {
                let length = Int(UInt32(littleEndian: part.raw.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
                at += 4
                guard length <= part.raw.count - at else { return nil }
                let text = UnsafeRawBufferPointer(rebasing: part.raw[at..<(at + length)])
                guard isPlain(text), take(text) else { return nil }
                at += length
                count += 1
            }
            return count
        }
        guard try reader.peek() == .array else { return nil }
        try reader.beginArray()
        while try reader.nextElement() {
            guard try reader.peek() == .string else { return nil }
            let text = reader.raw(try reader.readText())
            guard isPlain(text), take(text) else { return nil }
            count += 1
        }
        return count
    }
}
