#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a LightGBM model file holds, as far as predicting needs it; not yet checked for consistency.
struct LightGBMFile {
    var header: [String: String] = [:]
    /// The sums are divided by the number of rounds (boosting `rf`).
    var averagesOutput = false
    var trees: [LightGBMTree] = []
}

/// One tree's lines.
struct LightGBMTree {
    var offset = 0
    var leafCount = 0
    var features: [Int32] = []
    var thresholds: [Double] = []
    var decisions: [Int32] = []
    var left: [Int32] = []
    var right: [Int32] = []
    var leafValues: [Double] = []
    /// Training rows that came by each split and each leaf; empty where the file does not tell.
    var splitCounts: [Float] = []
    var leafCounts: [Float] = []
    var categoryBoundaries: [Int32] = []
    var categoryWords: [UInt32] = []
    var isLinear = false
    var leafConstants: [Double] = []
    var termCounts: [Int32] = []
    var termFeatures: [Int32] = []
    var termCoefficients: [Double] = []
}

/// Reads the lines of a LightGBM model. The bytes must have a zero behind their end.
struct LightGBMFileReader {
    private let bytes: UnsafeRawBufferPointer
    private var offset = 0
    private var file = LightGBMFile()

    init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

    mutating func read() throws(ModelFileError) -> LightGBMFile {
        guard let first = nextLine(), text(first) == "tree" else {
            throw ModelFileError(0, "does not begin with \"tree\": this is no LightGBM model")
        }
        while let line = nextLine() {
            if line.isEmpty { continue }
            if starts(line, with: "Tree=") {
                try readTrees(first: line)
                return file
            }
            if text(line) == "end of trees" { return file }
            if text(line) == "average_output" {
                file.averagesOutput = true
                continue
            }
            if let (key, value) = pair(line) { file.header[key] = text(value) }
        }
        throw ModelFileError(offset, "the file ends before the line \"end of trees\"")
    }

    private mutating func readTrees(first: Range<Int>) throws(ModelFileError) {
        var tree = LightGBMTree()
        tree.offset = first.lowerBound
        while let line = nextLine() {
            if line.isEmpty { continue }
            if starts(line, with: "Tree=") || text(line) == "end of trees" {
                file.trees.append(tree)
                if !starts(line, with: "Tree=") { return }
                tree = LightGBMTree()
                tree.offset = line.lowerBound
                continue
            }
            guard let (key, value) = pair(line) else {
                throw ModelFileError(line.lowerBound, "a line of the form name=value was expected")
            }
            try read(key, value, into: &tree)
        }
        throw ModelFileError(offset, "the file ends before the line \"end of trees\"")
    }

    private func read(_ key: String, _ value: Range<Int>, into tree: inout LightGBMTree) throws(ModelFileError) {
        switch key {
        case "num_leaves":
            guard let count = try integers(value).first else { throw ModelFileError(value.lowerBound, "no number") }
            tree.leafCount = Int(count)
        case "split_feature": tree.features = try integers(value)
        case "threshold": tree.thresholds = try doubles(value)
        case "decision_type": tree.decisions = try integers(value)
        case "left_child": tree.left = try integers(value)
        case "right_child": tree.right = try integers(value)
        case "leaf_value": tree.leafValues = try doubles(value)
        case "internal_count": tree.splitCounts = try integers(value).map { Float($0) }
        case "leaf_count": tree.leafCounts = try integers(value).map { Float($0) }
        case "cat_boundaries": tree.categoryBoundaries = try integers(value)
        case "cat_threshold": tree.categoryWords = try numbers(value) { UInt32(exactly: $0) }
        case "is_linear": tree.isLinear = try integers(value).first == 1
        case "leaf_const": tree.leafConstants = try doubles(value)
        case "num_features": tree.termCounts = try integers(value)
        case "leaf_features": tree.termFeatures = try integers(value)
        case "leaf_coeff": tree.termCoefficients = try doubles(value)
        default: break
        }
    }

    // MARK: Lines

    /// The next line without its ending; `nil` at the file's end.
    private mutating func nextLine() -> Range<Int>? {
        guard offset < bytes.count else { return nil }
        let start = offset
        let newline = memchr(bytes.baseAddress! + start, 0x0a, bytes.count - start)
        var end = newline.map { UnsafeRawPointer($0) - bytes.baseAddress! } ?? bytes.count
        offset = end + 1
        if end > start, bytes[end - 1] == 0x0d { end -= 1 }
        return start..<end
    }

    private func starts(_ line: Range<Int>, with prefix: StaticString) -> Bool {
        line.count >= prefix.utf8CodeUnitCount
            && memcmp(bytes.baseAddress! + line.lowerBound, prefix.utf8Start, prefix.utf8CodeUnitCount) == 0
    }

    private func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

    private func pair(_ line: Range<Int>) -> (key: String, value: Range<Int>)? {
        guard let equals = bytes[line].firstIndex(of: UInt8(ascii: "=")) else { return nil }
        return (text(line.lowerBound..<equals), (equals + 1)..<line.upperBound)
    }

    // MARK: Numbers

    private func integers(_ range: Range<Int>) throws(ModelFileError) -> [Int32] {
        try numbers(range) { Int32(exactly: $0) }
    }

    private func numbers<T>(_ range: Range<Int>, _ convert: (Int64) -> T?) throws(ModelFileError) -> [T] {
        var result: [T] = []
        try eachWord(range) { (start, end) throws(ModelFileError) in
            var at = start
            let negative = bytes[at] == UInt8(ascii: "-")
            if negative { at += 1 }
            var value: Int64 = 0
            var digits = 0
            while at < end, bytes[at] &- UInt8(ascii: "0") < 10, digits < 18 {
                value = value * 10 + Int64(bytes[at] - UInt8(ascii: "0"))
                digits += 1
                at += 1
            }
            guard digits > 0, at == end, let number = convert(negative ? -value : value) else {
                throw ModelFileError(start, "\(text(start..<min(end, start + 30))) is no whole number of 32 bits")
            }
            result.append(number)
        }
        return result
    }

    private func doubles(_ range: Range<Int>) throws(ModelFileError) -> [Double] {
        var result: [Double] = []
        try eachWord(range) { (start, end) throws(ModelFileError) in
            let base = bytes.baseAddress!.assumingMemoryBound(to: CChar.self)
            var stop: UnsafeMutablePointer<CChar>?
            // The zero behind the file's end stops the C library at the latest.
            let value = strtod(base + start, &stop)
            guard let stop, UnsafePointer(stop) - base == end else {
                throw ModelFileError(start, "\(text(start..<min(end, start + 30))) is no number")
            }
            result.append(value)
        }
        return result
    }

    private func eachWord(
        _ range: Range<Int>, _ body: (Int, Int) throws(ModelFileError) -> Void
    ) throws(ModelFileError) {
        var at = range.lowerBound
        while at < range.upperBound {
            if bytes[at] == 0x20 || bytes[at] == 0x09 {
                at += 1
                continue
            }
            let start = at
            while at < range.upperBound, bytes[at] != 0x20, bytes[at] != 0x09 { at += 1 }
            try body(start, at)
        }
    }
}
