import AerieData
import AerieJSON
import Foundation
import Serving
import Testing

@testable import InferTrees

/// A model with rows and the library's own predictions, as `Tests/Fixtures/trees/generate.py` writes them.
struct TreeCase: Sendable, CustomTestStringConvertible {
    var name = ""
    var library = ""
    var model = ""
    var rows = 0
    var features = 0
    var outputs = 0
    var exact = false
    /// Rows whose contributions by the library are there, and rows that the shap library explains; 0 for none.
    var contributions = 0
    var shap = 0
    var folder = URL(fileURLWithPath: "/")

    var testDescription: String { name }

    private static let committedFolder = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures/trees/small")

    /// The few tiny cases in the repository.
    static let committed = read(committedFolder)

    /// The cases in the folder named by `AERIE_TREE_CASES`, else the committed ones.
    static let all = ProcessInfo.processInfo.environment["AERIE_TREE_CASES"]
        .map { read(URL(fileURLWithPath: $0)) } ?? committed

    private static func read(_ folder: URL) -> [TreeCase] {
        do {
            let cases = try readCases(folder)
            precondition(!cases.isEmpty, "\(folder.path)/cases.json names no cases")
            return cases
        } catch { fatalError("\(folder.path)/cases.json: \(error)") }
    }

    private static func readCases(_ folder: URL) throws -> [TreeCase] {
        let text = [UInt8](try Data(contentsOf: folder.appendingPathComponent("cases.json")))
        return try text.withUnsafeBytes { bytes in
            var reader = JSONReader(bytes)
            var result: [TreeCase] = []
            try reader.beginObject()
            while let key = try reader.nextKey() {
                guard reader.matches(key, "cases") else {
                    try reader.skipValue()
                    continue
                }
                try reader.beginArray()
                while try reader.nextElement() { result.append(try readCase(&reader, folder)) }
            }
            return result
        }
    }

    private static func readCase(_ reader: inout JSONReader, _ folder: URL) throws -> TreeCase {
        var result = TreeCase(folder: folder)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            switch try reader.string(key) {
            case "name": result.name = try reader.readString()
            case "library": result.library = try reader.readString()
            case "model": result.model = try reader.readString()
            case "rows": result.rows = Int(try reader.readInt())
            case "features": result.features = Int(try reader.readInt())
            case "outputs": result.outputs = Int(try reader.readInt())
            case "exact": result.exact = try reader.readBool()
            case "contributions": result.contributions = Int(try reader.readInt())
            case "shap": result.shap = Int(try reader.readInt())
            default: try reader.skipValue()
            }
        }
        return result
    }

    func bytes(_ file: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: folder.appendingPathComponent(file))) }

    func load(walk: TreeWalk? = nil) throws -> any TabularModel {
        let file = ModelFile(name: model, copying: try bytes(model))
        if library == "xgboost" { return try XGBoostFormat.load(file, walk: walk) }
        return try LightGBMFormat.load(file, walk: walk)
    }
}

extension TabularModel {
    /// Predicts rows given as raw bytes, `batch` rows in a call; the answers widened to doubles, which is exact.
    func answers(_ rows: [UInt8], count: Int, batch: Int) -> [Double] {
        let size = rowType.byteCount!
        var output = [UInt8](repeating: 0xff, count: count * outputCount * size)
        rows.withUnsafeBytes { rows in
            output.withUnsafeMutableBytes { output in
                var done = 0
                while done < count {
                    let now = min(batch, count - done)
                    predict(
                        rows: rows.baseAddress! + done * featureCount * size, count: now,
                        into: output.baseAddress! + done * outputCount * size)
                    done += now
                }
            }
        }
        return doubles(output)
    }

    func doubles(_ bytes: [UInt8]) -> [Double] {
        bytes.withUnsafeBytes { raw in
            rowType == .fp32 ? raw.bindMemory(to: Float.self).map(Double.init) : Array(raw.bindMemory(to: Double.self))
        }
    }
}
