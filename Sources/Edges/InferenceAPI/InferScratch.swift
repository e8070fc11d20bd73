import AerieData
import AerieHTTP

/// One input as a codec found it. Names and shapes are ranges of the scratch's own lists, so that it owns no memory.
struct InputPart {
    var name = 0..<0
    var dims = 0..<0
    var hasShape = false
    var dataType: DataType?
    var hasData = false
    /// Numbers already read into the scratch's elements: the first, how many, and how they were nested.
    var firstElement = 0
    var list = NumberList()
    /// The place of a JSON list that was not read yet, or of binary data, in the request's body.
    var json = 0..<0
    var binarySize: Int?
    var raw = UnsafeRawBufferPointer(start: nil, count: 0)
    /// The typed contents of a protobuf message, not decoded yet.
    var contents: UnsafeRawBufferPointer?
}

/// One output that the request asks for by name.
struct OutputAsk {
    var name = 0..<0
    var isBinary: Bool?
}

/// What a request says, in lists that are emptied and filled again for each one. Belongs to one event loop.
final class InferScratch {
    /// Names, one behind the other.
    var text: [UInt8] = []
    var dims: [Int] = []
    var inputs: [InputPart] = []
    var outputs: [OutputAsk] = []
    /// The request's `id` as it stands in the text, between its quotes; `nil` if there is none.
    var id: Range<Int>?
    /// `parameters.binary_data_output`.
    var binaryByDefault = false
    var terms = RequestTerms()
    /// What is to be explained.
    var explain: ExplainAsk?
    /// Numbers in the order in which they came.
    let elements = RowBuffer()
    /// The same turned into rows, where they came by column.
    let turned = RowBuffer()
    let results = RowBuffer()
    /// Elements of typed contents, laid out as raw ones.
    let typed = RowBuffer(capacity: 1024)

    func clear() {
        text.removeAll(keepingCapacity: true)
        dims.removeAll(keepingCapacity: true)
        inputs.removeAll(keepingCapacity: true)
        outputs.removeAll(keepingCapacity: true)
        id = nil
        binaryByDefault = false
        terms = RequestTerms()
        explain = nil
        elements.clear()
        turned.clear()
        typed.clear()
    }

    func keep(_ bytes: UnsafeRawBufferPointer) -> Range<Int> {
        let start = text.count
        text.append(contentsOf: bytes)
        return start..<text.count
    }

    func string(_ range: Range<Int>) -> String { String(decoding: text[range], as: UTF8.self) }

    func isEqual(_ range: Range<Int>, _ other: [UInt8]) -> Bool {
        guard range.count == other.count else { return false }
        return text.withUnsafeBytes { own in
            other.withUnsafeBytes { equals(UnsafeRawBufferPointer(rebasing: own[range]), $0) }
        }
    }

    func areEqual(_ a: Range<Int>, _ b: Range<Int>) -> Bool {
        guard a.count == b.count else { return false }
        for index in 0..<a.count where text[a.lowerBound + index] != text[b.lowerBound + index] { return false }
        return true
    }

    /// The product of a shape's dimensions; `nil` if one is negative or it overflows.
    func elementCount(_ dims: Range<Int>) -> Int? {
        var count = 1
        for index in dims {
            let dimension = self.dims[index]
            let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
            if dimension < 0 || overflow { return nil }
            count = product
        }
        return count
    }

    func shape(_ dims: Range<Int>) -> [Int] { Array(self.dims[dims]) }
}
