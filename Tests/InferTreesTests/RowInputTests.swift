import AerieCore
import AerieData
import Serving
import Testing

@testable import InferTrees

@Suite("rows from a request's tensors")
struct RowInputTests {
    private func input(_ features: Int, _ names: [String] = []) -> RowInput<Float> {
        RowInput(
            ModelDescription(
                tabular: "xgboost_xgboost", type: .fp32, features: features, outputs: 1, names: names,
                nanosecondsPerRow: 1, isProbability: false),
            features)
    }

    private func tensor<T: BitwiseCopyable>(_ name: String, _ type: DataType, _ shape: [Int], _ values: [T]) -> Tensor {
        Tensor(name: name, dataType: type, shape: shape, elements: values)
    }

    @Test("every numeric type is taken")
    func types() throws {
        let tensors: [Tensor] = [
            tensor("a", .fp32, [1, 3], [0, 1, 2] as [Float]), tensor("a", .fp64, [1, 3], [0, 1, 2] as [Double]),
            tensor("a", .int8, [1, 3], [0, 1, 2] as [Int8]), tensor("a", .int16, [1, 3], [0, 1, 2] as [Int16]),
            tensor("a", .int32, [1, 3], [0, 1, 2] as [Int32]), tensor("a", .int64, [1, 3], [0, 1, 2] as [Int64]),
            tensor("a", .uint8, [1, 3], [0, 1, 2] as [UInt8]), tensor("a", .uint16, [1, 3], [0, 1, 2] as [UInt16]),
            tensor("a", .uint32, [1, 3], [0, 1, 2] as [UInt32]), tensor("a", .uint64, [1, 3], [0, 1, 2] as [UInt64]),
            tensor("a", .bf16, [1, 3], [0, 0x3f80, 0x4000] as [UInt16]),
            tensor("a", .fp16, [1, 3], [0, 0x3c00, 0x4000] as [UInt16]),
        ]
        for tensor in tensors {
            let (rows, count) = try input(3).rows([tensor])
            #expect(rows == [0, 1, 2], "\(tensor.dataType)")
            #expect(count == 1)
        }
        #expect(try input(3).rows([tensor("a", .bool, [3], [false, true, true])]).rows == [0, 1, 1])
    }

    @Test("16-bit floats keep their value")
    func halves() throws {
        let bits: [UInt16] = [0x0001, 0x03ff, 0x0400, 0x7bff, 0xfc00, 0x7e00, 0x8000, 0x3555]
        let rows = try input(8).rows([tensor("a", .fp16, [8], bits)]).rows
        #expect(rows[0] == 0x1p-24)
        #expect(rows[1] == 1023 * 0x1p-24)
        #expect(rows[2] == 0x1p-14)
        #expect(rows[3] == 65504)
        #expect(rows[4] == -.infinity)
        #expect(rows[5].isNaN)
        #expect(rows[6] == 0 && rows[6].sign == .minus)
        #expect(rows[7] == 0.33325195)
    }

    @Test("columns are put in the model's order, whatever theirs")
    func columns() throws {
        let (rows, count) = try input(2, ["age", "amount"]).rows([
            tensor("amount", .fp64, [3, 1], [10, 20, 30] as [Double]), tensor("age", .int64, [3], [1, 2, 3] as [Int64]),
        ])
        #expect(count == 3)
        #expect(rows == [1, 10, 2, 20, 3, 30])
    }

    @Test("no rows are an answer of no rows")
    func empty() throws {
        let (rows, count) = try input(2).rows([tensor("a", .fp32, [0, 2], [] as [Float])])
        #expect(rows.isEmpty && count == 0)
    }

    static let wrong: [([Tensor], String)] = {
        func floats(_ name: String, _ shape: [Int], _ count: Int) -> Tensor {
            Tensor(name: name, dataType: .fp32, shape: shape, elements: [Float](repeating: 0, count: count))
        }
        return [
            ([], "is empty"),
            ([floats("a", [2, 3], 6)], "shape [2, 3]"),
            ([floats("a", [4], 4)], "shape [4]"),
            ([floats("a", [-1, 2], 0)], "shape [-1, 2]"),
            ([floats("a", [3, 2], 5)], "20 bytes"),
            ([floats("a", [Int.max, 2], 2)], "bytes"),
            ([floats("age", [2], 2), floats("height", [2], 2)], "no column"),
            ([floats("age", [2], 2), floats("age", [2], 2)], "twice"),
            ([floats("age", [2], 2), floats("amount", [3], 3)], "3 rows"),
            ([floats("age", [2, 2], 4), floats("amount", [2], 2)], "shape [rows]"),
            ([floats("age", [2], 2), floats("amount", [2], 2), floats("x", [2], 2)], "more tensors"),
            ([Tensor(name: "a", dataType: .bytes, shape: [1, 2], bytes: [])], "BYTES"),
        ]
    }()

    @Test("tensors that do not fit are named", arguments: wrong.indices)
    func misfit(_ index: Int) {
        let (tensors, says) = Self.wrong[index]
        let error = #expect(throws: AerieError.self) { _ = try input(2, ["age", "amount"]).rows(tensors) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.contains(says) == true, "\(error.map { "\($0)" } ?? "") lacks \(says)")
    }
}

@Suite("What an answer means")
struct MeaningTests {
    @Test("Classifiers of two classes give probabilities, regressions and raw sums do not")
    func objectives() {
        for (objective, isProbability) in [
            ("binary:logistic", true), ("reg:logistic", true), ("binary:hinge", true), ("binary:logitraw", false),
            ("reg:squarederror", false), ("count:poisson", false), ("rank:ndcg", false),
        ] {
            #expect(XGBoostLink(objective: objective)?.givesProbability == isProbability, "\(objective)")
        }
        for (objective, isProbability) in [
            ("binary sigmoid:1", true), ("cross_entropy", true), ("cross_entropy_lambda", false), ("regression", false),
            ("poisson", false), ("lambdarank", false), ("custom", false),
        ] {
            #expect(LightGBMLink(objective: objective)?.givesProbability == isProbability, "\(objective)")
        }
    }
}
