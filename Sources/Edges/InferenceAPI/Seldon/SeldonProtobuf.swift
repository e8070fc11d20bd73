import AerieCore
import AerieData
import AerieJSON
import AerieWire
import Serving

/// SeldonMessage and Feedback in protobuf. SeldonMessage {status 1, meta 2, data 3, binData 4, strData 5, jsonData 6,
/// customData 7}, DefaultData {names 1, tensor 2, ndarray 3, tftensor 4}, Tensor {shape 1, values 2}, Meta {puid 1,
/// tags 2, routing 3, requestPath 4, metrics 5}, Metric {key 1, type 2, value 3, tags 4}, Feedback {request 1,
/// response 2, reward 3, truth 4}.
enum SeldonProtobuf {
    private typealias Reader = AerieWire.ProtobufReader
    private typealias Writer = AerieWire.ProtobufWriter

    static func read(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> SeldonEnvelope {
        guard let envelope = try readParts(bytes).envelope else {
            throw .invalid("data", "the request needs data, binData, strData, jsonData or customData")
        }
        return envelope
    }

    /// A message whose payload may be missing, as in feedback.
    static func readParts(
        _ bytes: UnsafeRawBufferPointer
    ) throws(AerieError) -> (meta: GraphMeta, envelope: SeldonEnvelope?) {
        var meta = GraphMeta()
        var found: SeldonEnvelope?
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (2, 2): meta = try readMeta(try reader.delimited())
            // Of a oneof the last one counts.
            case (3, 2): found = try readData(try reader.delimited())
            case (4, 2):
                found = SeldonEnvelope(
                    form: .binData, message: GraphMessage(.bytes(Array(try reader.delimited()))))
            case (5, 2): found = SeldonEnvelope(form: .strData, message: GraphMessage(.text(try reader.text())))
            case (6, 2):
                let value = try WellKnownValue.value(try reader.delimited(), 0)
                found = SeldonEnvelope(form: .jsonData, message: GraphMessage(.json(value)))
            case (7, 2): found = try readAny(try reader.delimited())
            default: try reader.skip(field)
            }
        }
        found?.message.meta = meta
        return (meta, found)
    }

    private static func readMeta(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> GraphMeta {
        var meta = GraphMeta()
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): meta.puid = try reader.text()
            case (2, 2):
                let (name, value) = try WellKnownValue.mapEntry(try reader.delimited())
                meta.tags[name] = try WellKnownValue.value(value, 0)
            case (3, 2):
                var name = ""
                var place = 0
                var entry = Reader(try reader.delimited())
                while let field = try entry.next() {
                    switch (field.number, field.wire) {
                    case (1, 2): name = try entry.text()
                    case (2, 0): place = Int(Int32(truncatingIfNeeded: Int64(bitPattern: try entry.varint())))
                    default: try entry.skip(field)
                    }
                }
                meta.routing[name] = place
            default: try reader.skip(field)
            }
        }
        return meta
    }

    private static func readData(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> SeldonEnvelope {
        var names: [String] = []
        var found: SeldonEnvelope?
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): names.append(try reader.text())
            case (2, 2):
                let (shape, values) = try readTensor(try reader.delimited())
                guard !shape.isEmpty, MessageShape.elementCount(shape) == values.count else {
                    throw .invalid("data.tensor", "its shape \(shape) does not fit its \(values.count) values")
                }
                found = SeldonJSON.tensorEnvelope(.tensor, shape, values, [])
            case (3, 2):
                let list = try WellKnownValue.list(try reader.delimited(), 0)
                found = SeldonEnvelope(form: .ndarray, message: GraphMessage(SeldonEnvelope.payload(.array(list))))
            case (4, 2):
                let tensor = try TensorProto.read(proto: try reader.delimited())
                found = SeldonEnvelope(form: .tftensor, message: GraphMessage(.tensors([tensor])))
            default: try reader.skip(field)
            }
        }
        guard var found else { throw .invalid("data", "needs one of ndarray, tensor and tftensor") }
        found.message.names = names
        return found
    }

    private static func readTensor(
        _ bytes: UnsafeRawBufferPointer
    ) throws(AerieError) -> (shape: [Int], values: [Double]) {
        var shape: [Int] = []
        var values: [Double] = []
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 0): shape.append(Int(Int64(bitPattern: try reader.varint())))
            case (1, 2):
                var packed = Reader(try reader.delimited())
                while !packed.isAtEnd { shape.append(Int(Int64(bitPattern: try packed.varint()))) }
            case (2, 1): values.append(Double(bitPattern: try reader.fixed64()))
            case (2, 2):
                var packed = Reader(try reader.delimited())
                while !packed.isAtEnd { values.append(Double(bitPattern: try packed.fixed64())) }
            default: try reader.skip(field)
            }
        }
        return (shape, values)
    }

    private static func readAny(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> SeldonEnvelope {
        var url = ""
        var value = UnsafeRawBufferPointer(start: nil, count: 0)
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): url = try reader.text()
            case (2, 2): value = try reader.delimited()
            default: try reader.skip(field)
            }
        }
        let type = String(url.split(separator: "/").last ?? "")
        if type == TensorProto.typeName {
            let tensor = try TensorProto.read(proto: value)
            return SeldonEnvelope(form: .customData(type), message: GraphMessage(.tensors([tensor])))
        }
        guard WellKnownValue.types.contains(type) else {
            throw AerieError(
                .unsupported,
                "customData: \(type) is not known; known are "
                    + ([TensorProto.typeName] + WellKnownValue.types.sorted()).joined(separator: ", "))
        }
        let json = try WellKnownValue.decode(Array(value), as: type)
        return SeldonEnvelope(form: .customData(type), message: GraphMessage(SeldonEnvelope.payload(json)))
    }

    static func readFeedback(_ bytes: UnsafeRawBufferPointer) throws(AerieError) -> Feedback {
        var request: (meta: GraphMeta, envelope: SeldonEnvelope?)?
        var response: GraphMeta?
        var truth: SeldonEnvelope?
        var reward = Float(0)
        var reader = Reader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, 2): request = try readParts(try reader.delimited())
            case (2, 2): response = try readParts(try reader.delimited()).meta
            case (3, 5): reward = Float(bitPattern: try reader.fixed32())
            case (4, 2): truth = try readParts(try reader.delimited()).envelope
            default: try reader.skip(field)
            }
        }
        return Feedback(
            request: request, response: response, reward: Double("\(reward)") ?? Double(reward), truth: truth)
    }

    // MARK: Writing

    static func write(_ payload: SeldonPayload, meta: GraphMeta) throws(AerieError) -> [UInt8] {
        var writer = Writer()
        writer.field(2, bytes: write(meta))
        var data = Writer()
        for name in payload.names { data.field(1, text: name) }
        switch payload.value {
        case .ndarray(let array):
            data.field(3, bytes: WellKnownValue.message(array.array ?? [array]))
            writer.field(3, bytes: data.bytes)
        case .tensor(let shape, let values):
            var tensor = Writer()
            var packed = Writer()
            for size in shape { packed.varint(UInt64(max(0, size))) }
            tensor.field(1, bytes: packed.bytes)
            packed = Writer()
            for value in values { packed.append(fixed64: value.bitPattern) }
            tensor.field(2, bytes: packed.bytes)
            data.field(2, bytes: tensor.bytes)
            writer.field(3, bytes: data.bytes)
        case .tftensor(let tensor):
            data.field(4, bytes: try TensorProto.encode(tensor))
            writer.field(3, bytes: data.bytes)
        case .binData(let bytes): writer.field(4, bytes: bytes)
        case .strData(let text): writer.field(5, text: text)
        case .jsonData(let json): writer.field(6, bytes: WellKnownValue.message(json))
        case .customData(let type, let bytes):
            var any = Writer()
            any.field(1, text: "type.googleapis.com/\(type)")
            any.field(2, bytes: bytes)
            writer.field(7, bytes: any.bytes)
        }
        return writer.bytes
    }

    static func write(_ meta: GraphMeta) -> [UInt8] {
        var writer = Writer()
        writer.field(1, text: meta.puid)
        for tag in meta.tags.members {
            writer.field(2, bytes: entry(tag.key) { $0.field(2, bytes: WellKnownValue.message(tag.value)) })
        }
        for (name, place) in meta.routing.sorted(by: { $0.key < $1.key }) {
            writer.field(3, bytes: entry(name) { $0.field(2, varint: UInt64(bitPattern: Int64(place))) })
        }
        for (name, image) in meta.requestPath.sorted(by: { $0.key < $1.key }) {
            writer.field(4, bytes: entry(name) { $0.field(2, text: image) })
        }
        for metric in meta.metrics {
            var message = Writer()
            message.field(1, text: metric.key)
            message.field(2, varint: metric.kind == .counter ? 0 : metric.kind == .gauge ? 1 : 2)
            message.field(3, fixed32: Float(metric.value).bitPattern)
            for (name, value) in metric.tags.sorted(by: { $0.key < $1.key }) {
                message.field(4, bytes: entry(name) { $0.field(2, text: value) })
            }
            writer.field(5, bytes: message.bytes)
        }
        return writer.bytes
    }

    private static func entry(_ name: String, _ value: (inout Writer) -> Void) -> [UInt8] {
        var writer = Writer()
        writer.field(1, text: name)
        value(&writer)
        return writer.bytes
    }
}

extension Feedback {
    /// The answer's own word goes before the request's.
    init(
        request: (meta: GraphMeta, envelope: SeldonEnvelope?)?, response: GraphMeta?, reward: Double,
        truth: SeldonEnvelope?
    ) {
        let puids = [response?.puid ?? "", request?.meta.puid ?? ""]
        var rows: Int?
        if case .tensors(let tensors)? = request?.envelope?.message.payload { rows = tensors.first?.shape.first }
        self.init(
            puid: puids.first { !$0.isEmpty } ?? "", routing: response?.routing ?? [:], reward: reward, rows: rows)
        self.truth = truth?.message.firstColumn ?? []
    }
}
