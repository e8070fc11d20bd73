public import AerieCore
public import AerieData
import AerieJSON
import AerieWire

/// Rows of numbers made into requests of the Open Inference Protocol, as the bytes that go over the wire.
public struct InferencePayload: Sendable {
    public enum Form: String, Sendable, CaseIterable {
        case json, binary, grpc
        case grpcStream = "grpc-stream"
    }

    public var model: String
    public var inputs: [TensorSpec]
    /// Values of one row: those of the inputs one after the other.
    public var rows: [[Double]]
    public var rowsPerRequest: Int
    /// For HTTP's `Host` and the path.
    public var authority: String
    public var path: String

    /// Distinct requests that are made at most; they are sent in turn.
    public static let maximumRequests = 256
    /// Numbers that one request has at most.
    public static let maximumNumbers = 1 << 24

    /// - Parameter path: HTTP's; `nil` for `/v2/models/MODEL/infer`.
    public init(
        model: String, inputs: [TensorSpec], rows: [[Double]], rowsPerRequest: Int, authority: String,
        path: String? = nil
    ) throws(AerieError) {
        let width = try Self.width(inputs, rowsPerRequest: rowsPerRequest)
        guard width > 0 else { throw .invalid("model", "\(model) has no inputs") }
        for input in inputs where input.dataType == .bytes || input.dataType == .fp16 || input.dataType == .bf16 {
            throw .invalid("model", "the input \(input.name) is \(input.dataType.rawValue); give bodies with --body")
        }
        self.model = model
        self.inputs = inputs
        self.rows = rows
        self.rowsPerRequest = rowsPerRequest
        self.authority = authority
        self.path = path ?? "/v2/models/\(model)/infer"
        guard !rows.isEmpty else { throw .invalid("--data", "there are no rows") }
        if let at = rows.firstIndex(where: { $0.count != width }) {
            throw .invalid("--data", "row \(at + 1) has \(rows[at].count) numbers; the model takes \(width)")
        }
    }

    /// Numbers that the inputs have for one row.
    /// - Throws: `invalidArgument` for more rows, or more numbers, than one request has.
    public static func width(_ inputs: [TensorSpec], rowsPerRequest: Int) throws(AerieError) -> Int {
        guard (1...100_000).contains(rowsPerRequest) else {
            throw .invalid("--rows", "\(rowsPerRequest) is not from 1 to 100000")
        }
        let width = inputs.reduce(0) { $0 + Self.width($1) }
        guard width <= maximumNumbers / rowsPerRequest else {
            throw .invalid("--rows", "\(rowsPerRequest) of the model's rows are more than \(maximumNumbers) numbers")
        }
        return width
    }

    /// The product of an input's dimensions but the free ones, as far as a request may have so many.
    private static func width(_ input: TensorSpec) -> Int {
        input.shape.filter { $0 > 0 }.reduce(1) { $0 > maximumNumbers / $1 ? maximumNumbers + 1 : $0 * $1 }
    }

    /// Rows of numbers between 0 and 100 where there is no file, for 64 requests that differ or as many as there is
    /// memory for: the same for the same seed.
    public static func generated(width: Int, rowsPerRequest: Int, seed: UInt64) -> [[Double]] {
        let count = max(rowsPerRequest, min(64 * rowsPerRequest, maximumNumbers / max(1, width)))
        var state = seed
        // SplitMix64.
        func next() -> Double {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return Double((z ^ (z >> 31)) >> 11) / Double(1 << 53)
        }
        return (0..<count).map { _ in (0..<width).map { _ in (next() * 10_000).rounded() / 100 } }
    }

    public func payload(_ form: Form) -> LoadPayload {
        let count = min(Self.maximumRequests, max(1, rows.count / rowsPerRequest))
        let requests = (0..<count).map { index in
            let batch = (0..<rowsPerRequest).map { rows[(index * rowsPerRequest + $0) % rows.count] }
            return switch form {
            case .json: Self.http(authority, path, jsonBody(batch))
            case .binary: binaryRequest(batch)
            case .grpc, .grpcStream: message(batch)
            }
        }
        let method = form == .grpcStream ? "ModelStreamInfer" : form == .grpc ? "ModelInfer" : ""
        return LoadPayload(
            requests: requests, method: method.isEmpty ? "" : "/inference.GRPCInferenceService/\(method)",
            rows: rowsPerRequest)
    }

    /// A whole request.
    public static func http(
        _ authority: String, _ path: String, _ body: [UInt8], type: String = "application/json", headers: String = ""
    ) -> [UInt8] {
        let head =
            "POST \(path) HTTP/1.1\r\nHost: \(authority)\r\nContent-Type: \(type)\r\n"
            + "Content-Length: \(body.count)\r\n\(headers)\r\n"
        return Array(head.utf8) + body
    }

    private func shape(_ input: TensorSpec) -> [Int] {
        let fixed = input.shape.filter { $0 > 0 }
        return [rowsPerRequest] + (fixed.isEmpty ? [1] : fixed)
    }

    /// The inputs' places in a row.
    private var slices: [(input: TensorSpec, range: Range<Int>)] {
        var start = 0
        return inputs.map { input in
            let width = Self.width(input)
            defer { start += width }
            return (input, start..<start + width)
        }
    }

    private func jsonBody(_ batch: [[Double]]) -> [UInt8] {
        let tensors: [JSONValue] = slices.map { input, range in
            let data = batch.flatMap { $0[range] }.map { Self.jsonNumber($0, input.dataType) }
            return [
                "name": .string(input.name), "shape": .array(shape(input).map { .int(Int64($0)) }),
                "datatype": .string(input.dataType.rawValue), "data": .array(data),
            ]
        }
        return JSONValue.object(["inputs": .array(tensors)]).utf8()
    }

    private static func jsonNumber(_ value: Double, _ type: DataType) -> JSONValue {
        switch type {
        case .bool: .bool(value != 0)
        case .fp32, .fp64: value.isFinite ? .double(value) : .null
        default: .int(Int64(exactly: value.rounded()) ?? 0)
        }
    }

    private func binaryRequest(_ batch: [[Double]]) -> [UInt8] {
        var tail: [UInt8] = []
        let tensors: [JSONValue] = slices.map { input, range in
            let bytes = Self.bytes(batch.flatMap { $0[range] }, input.dataType)
            tail += bytes
            return [
                "name": .string(input.name), "shape": .array(shape(input).map { .int(Int64($0)) }),
                "datatype": .string(input.dataType.rawValue),
                "parameters": ["binary_data_size": .int(Int64(bytes.count))],
            ]
        }
        let head = JSONValue.object(["inputs": .array(tensors), "parameters": ["binary_data_output": true]]).utf8()
        return Self.http(
            authority, path, head + tail, type: "application/octet-stream",
            headers: "Inference-Header-Content-Length: \(head.count)\r\n")
    }

    /// `inference.ModelInferRequest`: model_name 1, inputs 5 (name 1, datatype 2, shape 3), raw_input_contents 7.
    private func message(_ batch: [[Double]]) -> [UInt8] {
        var writer = ProtobufWriter()
        writer.field(1, text: model)
        for (input, _) in slices {
            var tensor = ProtobufWriter()
            tensor.field(1, text: input.name)
            tensor.field(2, text: input.dataType.rawValue)
            for dimension in shape(input) { tensor.field(3, varint: UInt64(dimension)) }
            writer.field(5, bytes: tensor.bytes)
        }
        for (input, range) in slices {
            writer.field(7, bytes: Self.bytes(batch.flatMap { $0[range] }, input.dataType))
        }
        return writer.bytes
    }

    /// Little-endian. Numbers that a type cannot hold become its nearest.
    static func bytes(_ values: [Double], _ type: DataType) -> [UInt8] {
        func integers<T: FixedWidthInteger>(_ type: T.Type) -> [UInt8] {
            values.flatMap { value in
                let whole = value.isNaN ? 0 : value.rounded()
                let number = T(exactly: whole) ?? (whole < 0 ? T.min : T.max)
                return withUnsafeBytes(of: number.littleEndian) { Array($0) }
            }
        }
        switch type {
        case .bool: return values.map { $0 != 0 ? 1 : 0 }
        case .uint8: return integers(UInt8.self)
        case .uint16: return integers(UInt16.self)
        case .uint32: return integers(UInt32.self)
        case .uint64: return integers(UInt64.self)
        case .int8: return integers(Int8.self)
        case .int16: return integers(Int16.self)
        case .int32: return integers(Int32.self)
        case .int64: return integers(Int64.self)
        case .fp32: return values.flatMap { withUnsafeBytes(of: Float($0).bitPattern.littleEndian) { Array($0) } }
        case .fp64: return values.flatMap { withUnsafeBytes(of: $0.bitPattern.littleEndian) { Array($0) } }
        case .fp16, .bf16, .bytes: return []
        }
    }
}
