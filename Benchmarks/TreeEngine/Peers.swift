import Glibc

/// A library opened at run time.
struct Library {
    private let handle: UnsafeMutableRawPointer

    init?(_ path: String) {
        guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
            print("not measured: \(String(cString: dlerror()))")
            return nil
        }
        self.handle = handle
    }

    func function<T>(_ name: String, _: T.Type) -> T {
        guard let symbol = dlsym(handle, name) else { fatalError("\(name): \(String(cString: dlerror()))") }
        return unsafeBitCast(symbol, to: T.self)
    }
}

private func check(_ code: Int32, _ what: String) {
    guard code == 0 else { fatalError("\(what) returned \(code)") }
}

/// LightGBM's C API on one thread.
final class LightGBMPeer {
    typealias Create = @convention(c) (
        UnsafePointer<CChar>, UnsafeMutablePointer<Int32>, UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Int32
    typealias FastInit = @convention(c) (
        UnsafeMutableRawPointer?, Int32, Int32, Int32, Int32, Int32, UnsafePointer<CChar>,
        UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Int32
    typealias Fast = @convention(c) (
        UnsafeMutableRawPointer?, UnsafeRawPointer, UnsafeMutablePointer<Int64>, UnsafeMutablePointer<Double>
    ) -> Int32
    typealias Matrix = @convention(c) (
        UnsafeMutableRawPointer?, UnsafeRawPointer, Int32, Int32, Int32, Int32, Int32, Int32, Int32,
        UnsafePointer<CChar>, UnsafeMutablePointer<Int64>, UnsafeMutablePointer<Double>
    ) -> Int32

    private var booster: UnsafeMutableRawPointer?
    private var configuration: UnsafeMutableRawPointer?
    private let fast: Fast
    private let matrix: Matrix
    private let features: Int32

    init?(library path: String, model: String, features: Int) {
        guard let library = Library(path) else { return nil }
        self.features = Int32(features)
        fast = library.function("LGBM_BoosterPredictForMatSingleRowFast", Fast.self)
        matrix = library.function("LGBM_BoosterPredictForMat", Matrix.self)
        var rounds: Int32 = 0
        check(library.function("LGBM_BoosterCreateFromModelfile", Create.self)(model, &rounds, &booster), "create")
        // Normal prediction, all rounds, 64-bit floats.
        check(
            library.function("LGBM_BoosterPredictForMatSingleRowFastInit", FastInit.self)(
                booster, 0, 0, -1, 1, self.features, "num_threads=1", &configuration), "fast init")
    }

    func one(_ row: UnsafePointer<Double>, _ output: UnsafeMutablePointer<Double>) {
        var length: Int64 = 0
        check(fast(configuration, row, &length, output), "single row fast")
    }

    func many(_ rows: UnsafePointer<Double>, _ count: Int, _ output: UnsafeMutablePointer<Double>) {
        var length: Int64 = 0
        check(
            matrix(booster, rows, 1, Int32(count), features, 1, 0, 0, -1, "num_threads=1", &length, output), "matrix")
    }
}

/// XGBoost's C API on one thread, predicting from rows in memory.
final class XGBoostPeer {
    typealias Create = @convention(c) (
        UnsafeRawPointer?, UInt64, UnsafeMutablePointer<UnsafeMutableRawPointer?>
    ) -> Int32
    typealias Load = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>) -> Int32
    typealias Set = @convention(c) (UnsafeMutableRawPointer?, UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
    typealias Dense = @convention(c) (
        UnsafeMutableRawPointer?, UnsafePointer<CChar>, UnsafePointer<CChar>, UnsafeMutableRawPointer?,
        UnsafeMutablePointer<UnsafePointer<UInt64>?>, UnsafeMutablePointer<UInt64>,
        UnsafeMutablePointer<UnsafePointer<Float>?>
    ) -> Int32

    private var booster: UnsafeMutableRawPointer?
    private let dense: Dense
    private let features: Int
    private let configuration = """
        {"type":0,"iteration_begin":0,"iteration_end":0,"missing":NaN,"cache_id":0,"strict_shape":false}
        """

    init?(library path: String, model: String, features: Int) {
        guard let library = Library(path) else { return nil }
        self.features = features
        dense = library.function("XGBoosterPredictFromDense", Dense.self)
        check(library.function("XGBoosterCreate", Create.self)(nil, 0, &booster), "create")
        check(library.function("XGBoosterLoadModel", Load.self)(booster, model), "load")
        check(library.function("XGBoosterSetParam", Set.self)(booster, "nthread", "1"), "set nthread")
    }

    /// The description of the rows is made before the clock starts, as a careful caller would.
    func description(_ rows: UnsafePointer<Float>, _ count: Int) -> String {
        "{\"data\":[\(UInt(bitPattern: rows)),true],\"shape\":[\(count),\(features)],\"typestr\":\"<f4\",\"version\":3}"
    }

    func predict(_ description: UnsafePointer<CChar>) -> UnsafePointer<Float> {
        var shape: UnsafePointer<UInt64>?
        var dimensions: UInt64 = 0
        var result: UnsafePointer<Float>?
        check(dense(booster, description, configuration, nil, &shape, &dimensions, &result), "predict")
        return result!
    }
}
