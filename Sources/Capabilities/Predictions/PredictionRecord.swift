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
    /// Seldon's: the predictor's place in its deployment, and for each node with children the child that was asked,
    /// or -1 for all of them.
    public var routing: [String: Int]
    /// The versions of the models that were asked, by their nodes.
    public var versions: [String: String]
    /// What the client sent, as JSON, where the features do not say it; empty otherwise.
    public var request: String
    /// An answer that is no numbers, as JSON; empty otherwise.
    public var answer: String

    public init(
        time: Int64, puid: String, row: Int, deployment: String, namespace: String, predictor: String, model: String,
        version: String, features: [(name: String, value: Double)], outputs: [Double], routing: [String: Int] = [:],
        versions: [String: String] = [:], request: String = "", answer: String = ""
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
        self.routing = routing
        self.versions = versions
        self.request = request
        self.answer = answer
    }

    public static func == (a: PredictionRecord, b: PredictionRecord) -> Bool { a.json() == b.json() }

    public func json() -> JSONValue {
        func number(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .null }
        return [
            "time": .int(time), "puid": .string(puid), "row": .int(Int64(row)), "deployment": .string(deployment),
            "namespace": .string(namespace), "predictor": .string(predictor), "model": .string(model),
            "version": .string(version), "features": .object(JSONObject(features.map { ($0.name, number($0.value)) })),
            "routing": .object(JSONObject(routing.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) })),
            "versions": .object(JSONObject(versions.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
            "request": request.isEmpty ? .null : .string(request), "answer": answer.isEmpty ? .null : .string(answer),
            "outputs": .array(outputs.map(number)),
        ]
    }

    /// Every row of a block.
    static func records(of block: PredictionBlock) -> [PredictionRecord] {
        block.entries.flatMap { records($0, block) }
    }

    private static func records(_ entry: PredictionBlock.Entry, _ block: PredictionBlock) -> [PredictionRecord] {
        let predictor = entry.predictor
        if let exchange = entry.exchange { return records(entry, exchange) }
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
                outputs: Array(outputs[row * depth..<(row + 1) * depth]), routing: [entry.deployment: entry.index],
                versions: [predictor.modelName: predictor.modelVersion])
        }
    }

    private static func records(
        _ entry: PredictionBlock.Entry, _ exchange: PredictionExchange
    ) -> [PredictionRecord] {
        let (predictor, meta) = (entry.predictor, exchange.answer.meta)
        let versions = predictor.graph.map { graph in
            graph.versions.filter { meta.requestPath[$0.key] != nil }
        }
        return exchange.rows(of: predictor).enumerated().map { row, kept in
            PredictionRecord(
                time: entry.time, puid: meta.puid, row: row, deployment: entry.deployment, namespace: entry.namespace,
                predictor: predictor.name, model: predictor.modelName, version: predictor.modelVersion,
                features: kept.features, outputs: kept.outputs,
                routing: meta.routing.merging([entry.deployment: entry.index]) { old, _ in old },
                versions: versions ?? [predictor.modelName: predictor.modelVersion],
                request: kept.request?.text() ?? "", answer: kept.answer?.text() ?? "")
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

/// What really came of a prediction, or what it was worth, told later.
public struct PredictionLabel: Sendable, Equatable {
    public var puid: String
    /// The row in its request; of a request with one row it is 0.
    public var row: Int
    /// `nil` where only a reward is told.
    public var value: Double?
    /// Of feedback; `nil` where only a label is told.
    public var reward: Double?
    /// When it was told, in microseconds since 1970: of two of a prediction the later counts.
    public var time: Int64

    public init(puid: String, row: Int = 0, value: Double?, reward: Double? = nil, time: Int64) {
        self.puid = puid
        self.row = row
        self.value = value
        self.reward = reward
        self.time = time
    }

    public func json() -> JSONValue {
        [
            "puid": .string(puid), "row": .int(Int64(row)), "value": value.map { .double($0) } ?? .null,
            "reward": reward.map { .double($0) } ?? .null, "time": .int(time),
        ]
    }
}
