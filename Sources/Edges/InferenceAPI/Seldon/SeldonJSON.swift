import AerieCore
import AerieData
import AerieJSON
import Serving

/// SeldonMessage in proto3's JSON.
enum SeldonJSON {
    /// - Throws: `invalidArgument` naming the field.
    static func read(_ value: JSONValue) throws(AerieError) -> SeldonEnvelope {
        guard let object = value.object else { throw .invalid("", "the request is no object") }
        let meta = try readMeta(value["meta"])
        var found: [SeldonEnvelope] = []
        if let data = value["data"], !data.isNull { found.append(try readData(data)) }
        if let text = value["binData"] {
            guard let bytes = text.string.flatMap({ Base64.decode($0) }) else {
                throw .invalid("binData", "is no base64")
            }
            found.append(SeldonEnvelope(form: .binData, message: GraphMessage(.bytes(bytes))))
        }
        if let text = value["strData"] {
            guard let text = text.string else { throw .invalid("strData", "is no text") }
            found.append(SeldonEnvelope(form: .strData, message: GraphMessage(.text(text))))
        }
        if let json = value["jsonData"] {
            found.append(SeldonEnvelope(form: .jsonData, message: GraphMessage(.json(json))))
        }
        if let custom = value["customData"] { found.append(try readCustom(custom)) }
        let known: Set = ["meta", "status", "data", "binData", "strData", "jsonData", "customData"]
        if let unknown = object.keys.first(where: { !known.contains($0) }) {
            throw .invalid(unknown, "is no field of a SeldonMessage")
        }
        guard found.count == 1 else {
            throw .invalid(
                "data", found.isEmpty
                    ? "the request needs data, binData, strData, jsonData or customData"
                    : "the request holds more than one of data, binData, strData, jsonData and customData")
        }
        found[0].message.meta = meta
        return found[0]
    }

    static func readMeta(_ value: JSONValue?) throws(AerieError) -> GraphMeta {
        var meta = GraphMeta()
        meta.puid = value?["puid"]?.string ?? ""
        meta.tags = value?["tags"]?.object ?? JSONObject()
        for member in value?["routing"]?.object?.members ?? [] {
            guard let place = member.value.int ?? member.value.string.flatMap({ Int64($0) }) else {
                throw .invalid("meta.routing.\(member.key)", "is no whole number")
            }
            meta.routing[member.key] = Int(clamping: place)
        }
        return meta
    }

    private static func readData(_ data: JSONValue) throws(AerieError) -> SeldonEnvelope {
        let names = (data["names"]?.array ?? []).map { $0.string ?? $0.text() }
        var found: [SeldonEnvelope] = []
        if let array = data["ndarray"] {
            guard array.array != nil else { throw .invalid("data.ndarray", "is no list") }
            found.append(
                SeldonEnvelope(form: .ndarray, message: GraphMessage(SeldonEnvelope.payload(array), names: names)))
        }
        if let tensor = data["tensor"] {
            let shape = (tensor["shape"]?.array ?? []).map { Int(clamping: $0.int ?? -1) }
            guard let numbers = NestedNumbers(tensor["values"] ?? []), numbers.shape.count == 1,
                !shape.isEmpty, MessageShape.elementCount(shape) == numbers.values.count
            else { throw .invalid("data.tensor", "its shape \(shape) does not fit its values") }
            found.append(tensorEnvelope(.tensor, shape, numbers.values, names))
        }
        if let tensor = data["tftensor"] {
            let tensor = try TensorProto.read(tensor)
            found.append(SeldonEnvelope(form: .tftensor, message: GraphMessage(.tensors([tensor]), names: names)))
        }
        guard found.count == 1 else {
            throw .invalid("data", "needs exactly one of ndarray, tensor and tftensor, not \(found.count)")
        }
        return found[0]
    }

    static func tensorEnvelope(
        _ form: SeldonEnvelope.Form, _ shape: [Int], _ values: [Double], _ names: [String]
    ) -> SeldonEnvelope {
        let shape = shape.count == 1 ? [1, shape[0]] : shape
        let tensor = Tensor(name: "", dataType: .fp64, shape: shape, elements: values)
        return SeldonEnvelope(form: form, message: GraphMessage(.tensors([tensor]), names: names))
    }

    /// `{"@type": …, "value": …}` for the types whose JSON is their value, and TensorFlow's tensors.
    private static func readCustom(_ custom: JSONValue) throws(AerieError) -> SeldonEnvelope {
        guard let url = custom["@type"]?.string else { throw .invalid("customData.@type", "is missing") }
        let type = String(url.split(separator: "/").last ?? "")
        if type == TensorProto.typeName {
            let tensor = try TensorProto.read(custom)
            return SeldonEnvelope(form: .customData(type), message: GraphMessage(.tensors([tensor])))
        }
        guard WellKnownValue.types.contains(type), let value = custom["value"] else {
            throw AerieError(
                .unsupported,
                "customData: \(type) is not known; known are "
                    + ([TensorProto.typeName] + WellKnownValue.types.sorted()).joined(separator: ", "))
        }
        return SeldonEnvelope(form: .customData(type), message: GraphMessage(SeldonEnvelope.payload(value)))
    }

    // MARK: Writing

    static func write(_ payload: SeldonPayload, meta: GraphMeta) throws(AerieError) -> JSONValue {
        var object = JSONObject()
        object["meta"] = write(meta)
        switch payload.value {
        case .ndarray(let array): object["data"] = ["names": names(payload), "ndarray": array]
        case .tensor(let shape, let values):
            object["data"] = [
                "names": names(payload),
                "tensor": [
                    "shape": .array(shape.map { .int(Int64($0)) }), "values": .array(values.map { .double($0) }),
                ],
            ]
        case .tftensor(let tensor):
            object["data"] = ["names": names(payload), "tftensor": try TensorProto.json(tensor)]
        case .binData(let bytes): object["binData"] = .string(Base64.standard.encode(bytes))
        case .strData(let text): object["strData"] = .string(text)
        case .jsonData(let json): object["jsonData"] = json
        case .customData(let type, let bytes):
            var custom: JSONObject = ["@type": .string("type.googleapis.com/\(type)")]
            if type == TensorProto.typeName {
                let tensor = try TensorProto.json(try TensorProto.read(proto: bytes))
                for member in tensor.object?.members ?? [] { custom[member.key] = member.value }
            } else {
                custom["value"] = try WellKnownValue.decode(bytes, as: type)
            }
            object["customData"] = .object(custom)
        }
        return .object(object)
    }

    private static func names(_ payload: SeldonPayload) -> JSONValue { .array(payload.names.map { .string($0) }) }

    static func write(_ meta: GraphMeta) -> JSONValue {
        var object: JSONObject = ["puid": .string(meta.puid)]
        if !meta.tags.isEmpty { object["tags"] = .object(meta.tags) }
        object["routing"] = .object(
            JSONObject(meta.routing.sorted { $0.key < $1.key }.map { ($0.key, .int(Int64($0.value))) }))
        object["requestPath"] = .object(
            JSONObject(meta.requestPath.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        if !meta.metrics.isEmpty {
            object["metrics"] = .array(
                meta.metrics.map { metric in
                    var value: JSONObject = [
                        "key": .string(metric.key), "type": .string(metric.kind.rawValue), "value": .double(metric.value),
                    ]
                    if !metric.tags.isEmpty {
                        let tags = metric.tags.sorted { $0.key < $1.key }
                        value["tags"] = .object(JSONObject(tags.map { ($0.key, .string($0.value)) }))
                    }
                    return .object(value)
                })
        }
        return .object(object)
    }
}
