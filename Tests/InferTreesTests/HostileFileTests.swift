import AerieCore
import Foundation
import Serving
import Testing

@testable import InferTrees

/// A small, fixed generator: the same seed gives the same damage on every machine.
struct SplitMix64: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }
}

@Suite("damaged and hostile model files")
struct HostileFileTests {
    /// Loads bytes as the case's library would; a loaded model must answer too. Returns the error, if any.
    private func attempt(_ item: TreeCase, _ bytes: [UInt8]) -> AerieError? {
        let file = ModelFile(name: "model", copying: bytes)
        do {
            let model: any TabularModel = item.library == "xgboost"
                ? try XGBoostFormat.load(file) : try LightGBMFormat.load(file)
            // A damaged header may ask for rows of millions of columns, which nobody would send.
            guard model.featureCount < 10_000, model.outputCount < 10_000 else { return nil }
            let rows = [Double](repeating: 0.5, count: 9 * model.featureCount)
            rows.withUnsafeBytes { rows in
                withUnsafeTemporaryAllocation(of: Double.self, capacity: 9 * model.outputCount) { output in
                    model.predict(rows: rows.baseAddress!, count: 1, into: output.baseAddress!)
                    model.predict(rows: rows.baseAddress!, count: 9, into: output.baseAddress!)
                }
            }
            return nil
        } catch { return error }
    }

    private func check(_ error: AerieError, _ count: Int, _ what: String) {
        #expect(error.code == .invalidArgument || error.code == .unsupported, "\(what): \(error)")
        #expect(error.details.first?.field == "model", "\(what): \(error)")
        let offset = error.details.first?.offset
        #expect(offset != nil && offset! >= 0 && offset! <= count + 1, "\(what): \(error)")
    }

    @Test("a file cut anywhere is refused with the place, never a crash", arguments: TreeCase.committed)
    func truncated(_ item: TreeCase) throws {
        let bytes = try item.bytes(item.model)
        #expect(attempt(item, bytes) == nil)
        var end = 0
        // LightGBM's parameters follow the trees and are not needed to predict.
        let needed = item.library == "xgboost"
            ? bytes.count - 1 : try #require(String(decoding: bytes, as: UTF8.self).range(of: "end of trees"))
                .lowerBound.utf16Offset(in: String(decoding: bytes, as: UTF8.self))
        while end < needed {
            let error = attempt(item, Array(bytes[..<end]))
            if let error { check(error, end, "\(item.name) cut at \(end)") }
            #expect(error != nil, "\(item.name) cut at \(end) was taken for whole")
            end += max(1, needed / 211)
        }
    }

    @Test("bytes changed at random never crash and never hang", arguments: TreeCase.committed)
    func mutated(_ item: TreeCase) throws {
        let bytes = try item.bytes(item.model)
        var random = SplitMix64(state: 20_260_101 &+ UInt64(bytes.count))
        var refused = 0
        for round in 0..<400 {
            var damaged = bytes
            for _ in 0..<Int.random(in: 1...4, using: &random) { damage(&damaged, &random) }
            if let error = attempt(item, damaged) {
                refused += 1
                check(error, damaged.count, "\(item.name), round \(round)")
            }
        }
        #expect(refused > 40, "only \(refused) of 400 damaged files were refused: the damage is not damage")
    }

    private func damage(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        guard bytes.count > 8 else { return }
        let at = Int.random(in: 0..<(bytes.count - 8), using: &random)
        switch Int.random(in: 0..<7, using: &random) {
        case 0: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: bytes[at] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes[at] = [0x2d, 0x30, 0x39, 0x5b, 0x7d, 0x20, 0x2c, 0xff].randomElement(using: &random)!
        case 3: bytes.remove(at: at)
        case 4: bytes.insert(UInt8.random(in: 0x30...0x39, using: &random), at: at)
        case 5:
            let other = Int.random(in: 0..<(bytes.count - 8), using: &random)
            for index in 0..<8 { bytes[at + index] = bytes[other + index] }
        default:
            let value: UInt64 = [0, 1, .max, 1 << 31, 1 << 62, 0x7fff_ffff].randomElement(using: &random)!
            for index in 0..<8 { bytes[at + index] = UInt8(truncatingIfNeeded: value >> UInt64(8 * (7 - index))) }
        }
    }

    // MARK: One fault each

    private static let xgboost = """
        {"learner":{"attributes":{},"feature_names":[],"gradient_booster":{"model":{"gbtree_model_param":\
        {"num_parallel_tree":"1"},"iteration_indptr":[0,1],"tree_info":[0],"trees":[{"categories":[],\
        "categories_nodes":[],"categories_segments":[],"categories_sizes":[],"default_left":[0,1,0,0,0],\
        "left_children":[1,3,-1,-1,-1],"right_children":[2,4,-1,-1,-1],"split_indices":[0,1,0,0,0],\
        "split_conditions":[0.5,1.5,10,20,30],"split_type":[0,0,0,0,0],"tree_param":{"size_leaf_vector":"1"}}]},\
        "name":"gbtree"},"learner_model_param":{"base_score":"1","num_class":"0","num_feature":"2","num_target":"1"},\
        "objective":{"name":"reg:squarederror"}},"version":[3,2,0]}
        """

    private static let lightgbm = """
        tree\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=1\nobjective=regression\n\
        feature_names=a b\ntree_sizes=100\n\nTree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 1\nthreshold=0.5 1.5\n\
        decision_type=2 2\nleft_child=1 -2\nright_child=-1 -3\nleaf_value=10 20 30\nis_linear=0\nshrinkage=1\n\n\n\
        end of trees\n
        """

    private func load(_ text: String) throws(AerieError) -> any TabularModel {
        let file = ModelFile(name: "model", copying: [UInt8](text.utf8))
        return text.hasPrefix("tree") ? try LightGBMFormat.load(file) : try XGBoostFormat.load(file)
    }

    @Test("the models that the faults are made in are right")
    func baseline() throws {
        let rows = [Float](arrayLiteral: 0.4, 1.4, 0.4, .nan, 0.4, 1.6, 0.6, 0, 0.5, 0)
        var output = [Float](repeating: 0, count: 5)
        try load(Self.xgboost).predict(rows: rows, count: 5, into: &output)
        #expect(output == [21, 21, 31, 11, 11])
        let doubles = rows.map(Double.init)
        var answers = [Double](repeating: 0, count: 5)
        try load(Self.lightgbm).predict(rows: doubles, count: 5, into: &answers)
        #expect(answers == [20, 20, 30, 10, 20])
    }

    @Test("a threshold of infinity sends all that is not missing to the left")
    func infiniteThreshold() throws {
        let text = Self.lightgbm.replacing("threshold=0.5 1.5", with: "threshold=inf -inf")
            .replacing("decision_type=2 2", with: "decision_type=8 10")
        for walk in [nil] + TreeWalk.allCases {
            let file = ModelFile(name: "model", copying: [UInt8](text.utf8))
            let model = try LightGBMFormat.load(file, walk: walk)
            let rows: [Double] = [
                .infinity, 0, .greatestFiniteMagnitude, .nan, .nan, 0, -.infinity, -.infinity, 0, .infinity,
            ]
            var answers = [Double](repeating: 0, count: 5)
            model.predict(rows: rows, count: 5, into: &answers)
            #expect(answers == [30, 20, 10, 20, 30])
        }
    }

    static let faults: [(from: String, to: String, says: String)] = [
        ("\"left_children\":[1,3,", "\"left_children\":[1,9,", "child 9"),
        ("\"left_children\":[1,3,", "\"left_children\":[1,-2,", "child -2"),
        ("\"left_children\":[1,3,", "\"left_children\":[1,0,", "reached twice"),
        ("\"right_children\":[2,4,", "\"right_children\":[1,4,", "reached twice"),
        ("\"left_children\":[1,3,-1,-1,-1]", "\"left_children\":[1,3,-1,-1]", "entries"),
        ("\"left_children\":[1,3,-1,-1,-1]", "\"left_children\":[]", "no nodes"),
        ("\"split_indices\":[0,1,", "\"split_indices\":[0,2,", "feature 2 of 2"),
        ("\"split_indices\":[0,1,", "\"split_indices\":[0,-1,", "feature -1"),
        ("\"split_indices\":[0,1,", "\"split_indices\":[0,99999999999,", "32 bits"),
        ("\"split_conditions\":[0.5", "\"split_conditions\":[NaN", "not a number"),
        ("\"tree_info\":[0]", "\"tree_info\":[0,0]", "tree_info"),
        ("\"tree_info\":[0]", "\"tree_info\":[3]", "output 3"),
        ("\"num_feature\":\"2\"", "\"num_feature\":\"99999999999999999999\"", "num_feature"),
        ("\"num_feature\":\"2\"", "\"num_feature\":\"-2\"", "num_feature"),
        ("\"num_class\":\"0\"", "\"num_class\":\"2000000000\"", "num_class"),
        ("\"base_score\":\"1\"", "\"base_score\":\"[1,2,3]\"", "base_score"),
        ("\"base_score\":\"1\"", "\"base_score\":\"much\"", "base_score"),
        ("\"categories_nodes\":[]", "\"categories_nodes\":[7]", "categories"),
        ("\"split_type\":[0,0", "\"split_type\":[1,0", "no categories"),
        ("\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "booster gblinear"),
        ("reg:squarederror", "reg:unheard-of", "objective reg:unheard-of"),
        ("\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"7\"", "7 values"),
        ("{\"learner\"", "binf{\"learner\"", "old binary format"),
        ("{\"learner\"", "{\"teacher\"", "no \"learner\""),
        ("left_child=1 -2", "left_child=1 -9", "child"),
        ("left_child=1 -2", "left_child=1 0", "reached twice"),
        ("left_child=1 -2", "left_child=1", "left_child has 1 entries"),
        ("split_feature=0 1", "split_feature=0 2", "feature 2 of 2"),
        ("threshold=0.5 1.5", "threshold=nan 1.5", "not a number"),
        ("threshold=0.5 1.5", "threshold=0.5 1.5x", "no number"),
        ("decision_type=2 2", "decision_type=1 2", "category set"),
        ("decision_type=2 2", "decision_type=2 64", "decision_type 64"),
        ("num_leaves=3", "num_leaves=2000000000", "leaf_value"),
        ("num_leaves=3", "num_leaves=0", "leaf_value"),
        ("max_feature_idx=1", "max_feature_idx=", "max_feature_idx"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=2", "multiple"),
        ("tree_sizes=100", "tree_sizes=100 200", "tree_sizes"),
        ("objective=regression", "objective=unheard-of", "objective unheard-of"),
        ("end of trees", "end", "name=value"),
        ("is_linear=0", "is_linear=1", "linear"),
    ]

    @Test("each fault is named", arguments: faults.indices)
    func fault(_ index: Int) throws {
        let fault = Self.faults[index]
        let original = Self.xgboost.contains(fault.from) ? Self.xgboost : Self.lightgbm
        #expect(original.contains(fault.from))
        let error = #expect(throws: AerieError.self) { _ = try load(original.replacing(fault.from, with: fault.to)) }
        #expect(error?.message.contains(fault.says) == true, "\(fault.to): \(error.map { "\($0)" } ?? "")")
        if let error { check(error, original.utf8.count + 20, fault.to) }
    }

    @Test("an absurd length in a UBJSON file is held against the bytes that are left")
    func absurdLengths() {
        let head = Array("{L".utf8) + [0, 0, 0, 0, 0, 0, 0, 7] + Array("learner[$d#L".utf8)
        for length in [UInt64(1) << 62, UInt64.max, 1 << 31, 5] {
            let bytes = head + withUnsafeBytes(of: length.bigEndian, Array.init) + [1, 2, 3]
            #expect(throws: AerieError.self) { _ = try XGBoostFormat.load(ModelFile(name: "model", copying: bytes)) }
        }
        let deep = Array("{L".utf8) + [0, 0, 0, 0, 0, 0, 0, 1] + Array("x".utf8)
            + [UInt8](repeating: 0x5b, count: 100_000)
        #expect(throws: AerieError.self) { _ = try XGBoostFormat.load(ModelFile(name: "model", copying: deep)) }
    }

    @Test("a missing file is not found, a folder is refused")
    func noFile() {
        let missing = #expect(throws: AerieError.self) { _ = try XGBoostFormat().load(file: "/nowhere/model.json") }
        #expect(missing?.code == .notFound)
        let folder = #expect(throws: AerieError.self) { _ = try LightGBMFormat().load(file: "/") }
        #expect(folder?.code == .invalidArgument)
    }
}
