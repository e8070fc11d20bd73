// Times one row and 4,096 rows of the same models in Aerie and in the libraries that trained them, in one process.
//
//     TreeEngine DIR [--xgboost libxgboost.so] [--lightgbm lib_lightgbm.so]
//
// DIR holds what `models.py` made: xgboost.ubj, lightgbm.txt, rows.f32, rows.f64 (4,096 rows). Prints one line for each
// measurement: model, engine, rows in a call, nanoseconds for a row, allocations in a call.
import AllocationCounter
import Glibc
import InferTrees
import Serving

func option(_ name: String) -> String? {
    CommandLine.arguments.firstIndex(of: name).flatMap {
        $0 + 1 < CommandLine.arguments.count ? CommandLine.arguments[$0 + 1] : nil
    }
}

func nanoseconds() -> UInt64 {
    var now = timespec()
    clock_gettime(CLOCK_MONOTONIC, &now)
    return UInt64(now.tv_sec) * 1_000_000_000 + UInt64(now.tv_nsec)
}

func read<T>(_ path: String, as: T.Type) -> UnsafeMutableBufferPointer<T> {
    guard let file = fopen(path, "rb") else { fatalError("\(path) cannot be opened") }
    defer { fclose(file) }
    fseek(file, 0, SEEK_END)
    let count = ftell(file) / MemoryLayout<T>.stride
    rewind(file)
    let buffer = UnsafeMutableBufferPointer<T>.allocate(capacity: count)
    guard fread(buffer.baseAddress!, MemoryLayout<T>.stride, count, file) == count else {
        fatalError("\(path) is short")
    }
    return buffer
}

let rowCount = 4096

/// The best of 15 windows: on a shared machine the others measure the neighbours. A window is `calls` calls.
@MainActor func measure(
    _ model: String, _ engine: String, rows: Int, calls: Int, _ body: (Int) -> Void
) {
    for call in 0..<(calls / 4 + 1) { body(call) }
    let before = allocation_count()
    for call in 0..<calls { body(call) }
    let allocations = Double(allocation_count() - before) / Double(calls)
    var best = Double.infinity
    for _ in 0..<15 {
        let start = nanoseconds()
        for call in 0..<calls { body(call) }
        best = min(best, Double(nanoseconds() - start) / Double(calls * rows))
    }
    func tenths(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }
    print("\(model)\t\(engine)\t\(rows)\t\(tenths(best))\t\(tenths(allocations))")
    fflush(nil)
}

let folder = CommandLine.arguments[1]
let floats = read(folder + "/rows.f32", as: Float.self).baseAddress!
let doubles = read(folder + "/rows.f64", as: Double.self).baseAddress!

@MainActor func aerie(_ name: String, _ model: any TabularModel, _ rows: UnsafeRawPointer) -> [Double] {
    let size = model.rowType.byteCount!
    let stride = model.featureCount * size
    let output = UnsafeMutableRawPointer.allocate(byteCount: rowCount * 8 * model.outputCount, alignment: 64)
    measure(name, "aerie", rows: 1, calls: 4096) { call in
        model.predict(rows: rows + (call & (rowCount - 1)) * stride, count: 1, into: output)
    }
    measure(name, "aerie", rows: rowCount, calls: 8) { _ in model.predict(rows: rows, count: rowCount, into: output) }
    return (0..<rowCount).map {
        size == 4 ? Double(output.load(fromByteOffset: $0 * 4, as: Float.self))
            : output.load(fromByteOffset: $0 * 8, as: Double.self)
    }
}

func compare(_ name: String, _ ours: [Double], _ theirs: (Int) -> Double) {
    let differing = ours.indices.filter { ours[$0] != theirs($0) }.count
    print("# \(name): \(differing) of \(ours.count) predictions differ")
}

func tabular(_ model: any InferenceModel) -> any TabularModel {
    guard let model = model as? any TabularModel else { preconditionFailure("a tree model is tabular") }
    return model
}

let format = XGBoostFormat()
let xgboostFile = folder + "/xgboost.ubj"
let xgboostModel = try tabular(format.load(file: xgboostFile))
let features = xgboostModel.featureCount
let xgboostAnswers = aerie("xgboost", xgboostModel, floats)
if let library = option("--xgboost"),
    let peer = XGBoostPeer(library: library, model: xgboostFile, features: features)
{
    let one = (0..<rowCount).map { strdup(peer.description(floats + $0 * features, 1))! }
    let all = strdup(peer.description(floats, rowCount))!
    measure("xgboost", "xgboost C API", rows: 1, calls: 512) { call in _ = peer.predict(one[call & (rowCount - 1)]) }
    measure("xgboost", "xgboost C API", rows: rowCount, calls: 4) { _ in _ = peer.predict(all) }
    let theirs = peer.predict(all)
    compare("xgboost", xgboostAnswers) { Double(theirs[$0]) }
}

let lightgbmFile = folder + "/lightgbm.txt"
let lightgbmModel = try tabular(LightGBMFormat().load(file: lightgbmFile))
let lightgbmAnswers = aerie("lightgbm", lightgbmModel, doubles)
if let library = option("--lightgbm"),
    let peer = LightGBMPeer(library: library, model: lightgbmFile, features: features)
{
    let output = UnsafeMutablePointer<Double>.allocate(capacity: rowCount)
    measure("lightgbm", "lightgbm C API", rows: 1, calls: 4096) { call in
        peer.one(doubles + (call & (rowCount - 1)) * features, output)
    }
    measure("lightgbm", "lightgbm C API", rows: rowCount, calls: 2) { _ in peer.many(doubles, rowCount, output) }
    compare("lightgbm", lightgbmAnswers) { output[$0] }
}
