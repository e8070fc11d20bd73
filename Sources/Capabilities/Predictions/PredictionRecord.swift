import AerieData
public import AerieJSON
import Serving

/// One row's prediction, as it is kept.
public struct PredictionRecord: Sendable, Equatable {
    /// Microseconds since 1970.
    public var time: Int64
    /// The request's id, by which a label finds it; empty if the request had none.
    public var puid: String
    /// The row in its request, from 0.
    public var row: Int
    public var deployment: String
    public var namespace: String
    public var predictor: String
    public var model: String
    public var version: String
    /// What the model was given, by column; NaN where it was missing.
    public var features: [(name: String, value: Double)]
    /// The row's numbers of the first output.
    public var outputs: [Double]

    public init(
        time: Int64, puid: String, row: Int, deployment: String, namespace: String, predictor: String, model: String,
        version: String, features: [(name: String, value: Double)], outputs: [Double]
    ) {
        self.time = time
        self.puid = puid
        self.row = row
        self.deployment = deployment
        self.namespace = namespace
        self.predictor = predictor
        self.model = model
        self.version = version
        self.features = features
        self.outputs = outputs
    }

    public static func == (a: PredictionRecord, b: PredictionRecord) -> Bool { a.json() == b.json() }

    public func json() -> JSONValue {
        func number(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .null }
        return [
            "time": .int(time), "puid": .string(puid), "row": .int(Int64(row)), "deployment": .string(deployment),
            "namespace": .string(namespace), "predictor": .string(predictor), "model": .string(model),
            "version": .string(version), "features": .object(JSONObject(features.map { ($0.name, number($0.value)) })),
            "outputs": .array(outputs.map(number)),
        ]
    }

    /// Every row of a block.
    static func records(of block: PredictionBlock) -> [PredictionRecord] {
        block.entries.flatMap { records($0, block) }
    }

    private static func records(_ entry: PredictionBlock.Entry, _ block: PredictionBlock) -> [PredictionRecord] {
        let predictor = entry.predictor
        guard entry.rows > 0, let output = predictor.model.description.outputs.first else { return [] }
        let rowType = predictor.tabular?.rowType ?? .fp32
        let (inputs, outputs) = (numbers(block, entry.input, rowType), numbers(block, entry.output, output.dataType))
        let (width, depth) = (inputs.count / entry.rows, outputs.count / entry.rows)
        let known = predictor.model.description.featureNames
        let names = known.count == width ? known : (0..<width).map { "f\($0)" }
        let puid = String(decoding: block.bytes[entry.id], as: UTF8.self)
        return (0..<entry.rows).map { row in
            PredictionRecord(
                time: entry.time, puid: puid, row: row, deployment: entry.deployment, namespace: entry.namespace,
                predictor: predictor.name, model: predictor.modelName, version: predictor.modelVersion,
                features: Array(zip(names, inputs[row * width..<(row + 1) * width])).map { (name: $0, value: $1) },
                outputs: Array(outputs[row * depth..<(row + 1) * depth]))
        }
    }

    /// Elements as numbers; none for types that are no numbers.
    private static func numbers(_ block: PredictionBlock, _ range: Range<Int>, _ type: DataType) -> [Double] {
        guard let size = type.byteCount else { return [] }
        return block.bytes[range].withUnsafeBytes { bytes in
            (0..<bytes.count / size).map { index in
                let at = index * size
                return switch type {
                case .fp32: Double(bytes.loadUnaligned(fromByteOffset: at, as: Float.self))
                case .fp64: bytes.loadUnaligned(fromByteOffset: at, as: Double.self)
                case .int64: Double(bytes.loadUnaligned(fromByteOffset: at, as: Int64.self))
                case .int32: Double(bytes.loadUnaligned(fromByteOffset: at, as: Int32.self))
                case .uint64: Double(bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
                case .uint32: Double(bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self))
                case .int16: Double(bytes.loadUnaligned(fromByteOffset: at, as: Int16.self))
                case .uint16: Double(bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self))
                case .int8: Double(bytes.loadUnaligned(fromByteOffset: at, as: Int8.self))
                case .uint8, .bool: Double(bytes[at])
                case .fp16, .bf16, .bytes: Double.nan
                }
            }
        }
    }
}

/// What really came of a prediction, told later.
public struct PredictionLabel: Sendable, Equatable {
    public var puid: String
    /// The row in its request; of a request with one row it is 0.
    public var row: Int
    public var value: Double
    /// When it was told, in microseconds since 1970: of two labels of a prediction the later counts.
    public var time: Int64

    public init(puid: String, row: Int = 0, value: Double, time: Int64) {
        self.puid = puid
        self.row = row
        self.value = value
        self.time = time
    }

    public func json() -> JSONValue {
        ["puid": .string(puid), "row": .int(Int64(row)), "value": .double(value), "time": .int(time)]
    }
}
