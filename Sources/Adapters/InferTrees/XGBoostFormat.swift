public import AerieCore
public import Serving

/// XGBoost's own model files, JSON (`.json`) and UBJSON (`.ubj`), told apart by their content.
///
/// Boosters `gbtree` and `dart`; missing values, categorical splits, random forests, several classes or targets,
/// vectors in leaves; every objective with a fixed link function. `gblinear` and the binary format that ended with
/// XGBoost 3.1 are `unsupported`. A model that scikit-learn's wrapper saved after early stopping predicts with its best
/// iteration, all others with every tree, as the library does.
public struct XGBoostFormat: ModelFormat {
    public init() {}

    public var flavor: String { "xgboost" }
    public var fileExtensions: [String] { ["ubj", "json", "xgb"] }

    public func load(file path: String) throws(AerieError) -> any InferenceModel {
        try Self.load(try ModelFile(path: path))
    }

    static func load(_ file: ModelFile, walk: TreeWalk? = nil) throws(AerieError) -> XGBoostModel {
        do {
            return try XGBoostModel(try read(file.bytes), walk: walk)
        } catch {
            throw error.asAerieError(in: file.path)
        }
    }

    private static func read(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) -> XGBoostFile {
        if bytes.starts(with: "binf".utf8) { throw .unsupported(0, "XGBoost's old binary format") }
        // JSON's second character is a quotation mark, after any white space; UBJSON's is the type of a length.
        let second = bytes.dropFirst().first { ![0x20, 0x0a, 0x0d, 0x09].contains($0) }
        guard bytes.first == UInt8(ascii: "{"), let second else {
            throw ModelFileError(0, "is neither XGBoost's JSON nor its UBJSON")
        }
        if second == UInt8(ascii: "\"") || second == UInt8(ascii: "}") && bytes.count < 4 {
            var reader = XGBoostFileReader(JSONModelDocument(bytes))
            return try reader.read()
        }
        var reader = XGBoostFileReader(UBJSONDocument(bytes))
        return try reader.read()
    }
}
