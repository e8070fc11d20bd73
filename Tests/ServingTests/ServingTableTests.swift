import AerieCore
import AerieData
import Serving
import Testing

@Suite("The table")
struct ServingTableTests {
    private func predictor(_ name: String, _ weight: Int) -> ServedPredictor {
        ServedPredictor(
            name: name, weight: weight, modelName: "m", modelVersion: "1", modelURI: "", model: ConstantModel(value: 1),
            metricsSlot: 0)
    }

    private func find(_ table: ServingTable, _ name: String) -> String? {
        Array(name.utf8).withUnsafeBytes { table.deployment(named: $0)?.name }
    }

    @Test("traffic is split as the weights say, to three standard deviations")
    func weights() {
        let deployment = ServedDeployment(
            name: "d", namespace: "default", predictors: [predictor("a", 80), predictor("zero", 0), predictor("b", 20)])
        var state: UInt64 = 7
        var counts: [String: Int] = [:]
        for _ in 0..<100_000 {
            // SplitMix64: every bit of its output is good, also the high ones that `pick` uses.
            state &+= 0x9e37_79b9_7f4a_7c15
            var bits = state
            bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
            bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
            counts[deployment.pick(bits ^ (bits >> 31)).name, default: 0] += 1
        }
        #expect(counts["zero"] == nil)
        #expect(abs(counts["a", default: 0] - 80_000) < 380)
        #expect(deployment.pick(0).name == "a" && deployment.pick(.max).name == "b")
    }

    @Test("deployments are found by exactly their names")
    func lookUp() {
        let names = ["fraud", "fraud-2", "a", "zebra", "fräud"]
        let table = ServingTable(
            generation: 1,
            deployments: names.map {
                ServedDeployment(name: $0, namespace: "default", predictors: [predictor("p", 100)])
            })
        for name in names { #expect(find(table, name) == name) }
        for name in ["", "fra", "fraud-", "fraud-22", "zz", "Fraud"] { #expect(find(table, name) == nil) }
    }
}

@Suite("The matrix of rows")
struct RowMatrixTests {
    @Test("elements of every numeric type arrive as numbers")
    func conversion() throws {
        func check<Element: BitwiseCopyable>(_ type: DataType, _ elements: [Element], _ expected: [Double]) throws {
            for target in [DataType.fp32, .fp64] {
                var matrix = RowMatrix(initialByteCount: 64)
                try matrix.reserve(rows: 1, columns: elements.count, type: target)
                try elements.withUnsafeBytes { bytes in try matrix.copy(from: bytes, type: type) }
                let values = (0..<elements.count).map { index in
                    target == .fp32 ? Double(matrix.pointer.load(fromByteOffset: index * 4, as: Float.self))
                        : matrix.pointer.load(fromByteOffset: index * 8, as: Double.self)
                }
                #expect(values == expected, "\(type.rawValue) to \(target.rawValue)")
            }
        }
        try check(.bool, [UInt8(0), 1], [0, 1])
        try check(.uint8, [UInt8(200)], [200])
        try check(.uint16, [UInt16(65535)], [65535])
        try check(.uint32, [UInt32(1 << 31)], [2_147_483_648])
        try check(.uint64, [UInt64(1 << 40)], [1_099_511_627_776])
        try check(.int8, [Int8(-5)], [-5])
        try check(.int16, [Int16(-300)], [-300])
        try check(.int32, [Int32(-70000)], [-70000])
        try check(.int64, [Int64(-1) << 40], [-1_099_511_627_776])
        // 1, -2, the smallest subnormal, the largest, infinity.
        try check(.fp16, [UInt16(0x3c00), 0xc000, 0x0001, 0x7bff, 0x7c00], [1, -2, 1 / 16_777_216, 65504, .infinity])
        try check(.bf16, [UInt16(0x3f80), 0xc040], [1, -3])
        try check(.fp32, [Float(0.5), -1.25], [0.5, -1.25])
        try check(.fp64, [0.5, -1.25], [0.5, -1.25])
    }

    @Test("a column goes to its place in each row, unaligned bytes too")
    func columns() throws {
        var matrix = RowMatrix(initialByteCount: 64)
        try matrix.reserve(rows: 3, columns: 2, type: .fp64)
        let bytes: [UInt8] = [0] + [Int32(1), 2, 3].withUnsafeBytes { Array($0) }
        try bytes.withUnsafeBytes { raw in
            try matrix.copy(from: UnsafeRawBufferPointer(rebasing: raw[1...]), type: .int32, start: 0, stride: 2)
            try matrix.copy(from: UnsafeRawBufferPointer(rebasing: raw[1...]), type: .int32, start: 1, stride: 2)
        }
        matrix.set(row: 2, column: 1, 9)
        let values = (0..<6).map { matrix.pointer.load(fromByteOffset: $0 * 8, as: Double.self) }
        #expect(values == [1, 1, 2, 2, 3, 9])
    }

    @Test("what does not fit is refused, and the room of a large request is kept")
    func limits() throws {
        var matrix = RowMatrix(initialByteCount: 64)
        try matrix.reserve(rows: 1000, columns: 10, type: .fp32)
        let before = matrix.pointer
        try matrix.reserve(rows: 1, columns: 10, type: .fp32)
        #expect(matrix.pointer == before && matrix.elementCount == 10)
        func refused(_ rows: Int, _ columns: Int, _ type: DataType) -> AerieError.Code? {
            do throws(AerieError) { try matrix.reserve(rows: rows, columns: columns, type: type) } catch {
                return error.code
            }
            return nil
        }
        #expect(refused(.max, 2, .fp32) == .resourceExhausted)
        #expect(refused(1 << 30, 1 << 30, .fp64) == .resourceExhausted)
        #expect(refused(-1, 2, .fp32) == .invalidArgument)
        #expect(refused(1, 2, .int32) == .invalidArgument)
        func copyRefused(_ count: Int, _ type: DataType, _ start: Int, _ stride: Int) -> Bool {
            let bytes = [UInt8](repeating: 0, count: count)
            return bytes.withUnsafeBytes { raw in
                do throws(AerieError) {
                    try matrix.copy(from: raw, type: type, start: start, stride: stride)
                    return false
                } catch {
                    return true
                }
            }
        }
        #expect(copyRefused(44, .fp32, 0, 1) && copyRefused(40, .fp32, 1, 1) && copyRefused(8, .fp32, 5, 5))
        #expect(copyRefused(3, .fp32, 0, 1) && copyRefused(8, .bytes, 0, 1) && copyRefused(4, .fp32, -1, 1))
        #expect(!copyRefused(40, .fp32, 0, 1) && !copyRefused(0, .fp32, 0, 1))
    }
}
