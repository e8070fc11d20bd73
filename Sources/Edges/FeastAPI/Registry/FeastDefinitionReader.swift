import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features

/// What Aerie makes of an object of Feast's registry: a resource of its own kinds, as far as it can carry it out.
///
/// Pure. Messages are those of `feast.core` in Feast 0.67.
struct FeastDefinitionReader {
    /// A resource to apply, and what of the object it leaves out, as a sentence; empty for nothing.
    struct Outcome {
        var resource: Resource?
        var problem: String
        /// The class of `feast.errors` that stands for the problem where it is an error; `nil` for the general one.
        var failure: String?
    }

    /// Stands in Feast for the entity of views that have none.
    static let noEntity = "__dummy"

    /// - Parameter old: the resource that is there; what Feast's messages have no place for is taken from it.
    static func read(_ object: FeastObject, project: String, old: Resource?) throws(AerieError) -> Outcome {
        var reader = FeastDefinitionReader(object: object, project: project, old: old)
        switch object.kind {
        case .entity: return try reader.entity()
        case .featureView: return try reader.featureView()
        case .featureService: return try reader.featureService()
        case .onDemandFeatureView: return try reader.onDemandFeatureView()
        case .streamFeatureView: return try reader.streamFeatureView()
        case .labelView:
            return Outcome(problem: "label view '\(object.name)' is kept, and labels are not carried out")
        default: return Outcome(problem: "")
        }
    }

    let object: FeastObject
    private let project: String
    let old: Resource?
    var problems: [String] = []

    private init(object: FeastObject, project: String, old: Resource?) {
        self.object = object
        self.project = project
        self.old = old
    }

    var outcome: Outcome { Outcome(resource: nil, problem: problems.joined(separator: "; ")) }

    /// What Feast infers comes inferred, out of the source, by the client that applies; a list that is empty all the
    /// same could be made nothing of.
    var withoutFeatures: Outcome {
        var outcome = outcome
        guard outcome.problem.isEmpty else { return outcome }
        outcome.problem =
            "it has no features: give it a schema, or apply it by feast apply, which infers the schema from a source that "
            + "it can read"
        outcome.failure = "RegistryInferenceFailure"
        return outcome
    }

    func resource(_ kind: String, _ spec: JSONObject) -> Outcome {
        var metadata = ResourceMetadata(name: object.name, namespace: project)
        metadata.labels = old?.metadata.labels ?? [:]
        metadata.annotations = old?.metadata.annotations ?? [:]
        var outcome = outcome
        outcome.resource = Resource(apiVersion: "aerie.dev/v1", kind: kind, metadata: metadata, spec: spec)
        return outcome
    }

    /// Members that Feast has no place for stay as they were.
    func keepingRest(_ spec: JSONObject, known: Set<String>) -> JSONObject {
        var spec = spec
        for member in old?.spec.members ?? [] where !known.contains(member.key) { spec[member.key] = member.value }
        return spec
    }

    func described(
        _ spec: inout JSONObject, description: Int, owner: Int, tags: Int
    ) throws(AerieError) {
        let message = object.spec
        if !message.text(description).isEmpty { spec["description"] = .string(message.text(description)) }
        if !message.text(owner).isEmpty { spec["owner"] = .string(message.text(owner)) }
        let map = try message.map(tags)
        if !map.isEmpty { spec["tags"] = .object(JSONObject(map.map { ($0.key, .string($0.value)) })) }
    }

    // MARK: Entity

    private mutating func entity() throws(AerieError) -> Outcome {
        if object.name == Self.noEntity { return outcome }
        let message = object.spec
        var spec = JSONObject()
        if !message.text(4).isEmpty { spec["joinKey"] = .string(message.text(4)) }
        let type = message.number(2)
        if let known = FeastValueType.type(type), known.isKey {
            spec["valueType"] = .string(known.rawValue)
        } else if type != 0 {
            // Feast takes it, and fails at the first row that it is to write online.
            throw .invalid(
                "value_type",
                "entity '\(object.name)' has values of type \(FeastValueType.name(type)), which no key is made of: "
                    + "give it one of \(FeatureType.keyNames)")
        } else if let before = old?.spec["valueType"] {
            spec["valueType"] = before
        }
        try described(&spec, description: 3, owner: 10, tags: 8)
        return resource("Entity", spec)
    }

    // MARK: Feature view

    private mutating func featureView() throws(AerieError) -> Outcome {
        let message = object.spec
        if message.has(15) || !message.text(16).isEmpty {
            problems.append(
                "feature view '\(object.name)' has a function over its source, which Feast applies when it materializes, and "
                    + "not to training data; compute the features in the source, or in an on-demand feature view")
        }
        if message.has(14) { problems.append("feature view '\(object.name)' is made of other views, in Python") }
        guard problems.isEmpty else { return outcome }
        var spec = JSONObject()
        if message.number(20) != 0 { spec["disabled"] = true }
        spec["entities"] = .array(message.texts(3).filter { $0 != Self.noEntity }.map { .string($0) })
        if let ttl = try message.message(6) { spec["ttl"] = .string(Self.seconds(ttl)) }
        guard let source = try source(try message.message(7)) else { return outcome }
        spec["source"] = .object(source)
        let features = try features(message)
        guard !features.isEmpty else { return withoutFeatures }
        spec["features"] = .array(features)
        spec["online"] = .bool(message.number(8) != 0)
        if let from = try message.message(9) {
            if from.number(1) == Self.pushSource {
                spec["pushSource"] = .string(from.text(20))
            } else if let stream = try stream(from) {
                spec["stream"] = .object(Self.ofRows(stream))
            }
        }
        try described(&spec, description: 10, owner: 11, tags: 5)
        let known: Set = [
            "entities", "ttl", "source", "stream", "features", "online", "disabled", "pushSource", "description", "owner",
            "tags",
        ]
        return resource("FeatureView", keepingRest(spec, known: known))
    }

    /// `google.protobuf.Duration` as a number of seconds with its unit.
    static func seconds(_ duration: ProtobufMessage) -> String {
        let micros = FeastTime.micros(duration)
        if micros % 1_000_000 == 0 { return "\(micros / 1_000_000)s" }
        return "\(Double(micros) / 1_000_000)s"
    }

    mutating func features(_ message: ProtobufMessage, list: Int = 4) throws(AerieError) -> [JSONValue] {
        var features: [JSONValue] = []
        for field in try message.messages(list) {
            let name = field.text(1)
            guard let type = FeastValueType.type(field.number(2)) else {
                problems.append(
                    "feature '\(object.name):\(name)' has values of type \(FeastValueType.name(field.number(2)))")
                continue
            }
            var feature: JSONObject = ["name": .string(name), "dtype": .string(type.rawValue)]
            if !field.text(4).isEmpty { feature["description"] = .string(field.text(4)) }
            let tags = try field.map(3)
            if !tags.isEmpty { feature["tags"] = .object(JSONObject(tags.map { ($0.key, .string($0.value)) })) }
            vectorIndex(field, type, &feature)
            let before = old?.spec["features"]?.array?.first { $0["name"]?.string == name }
            for member in before?.object?.members ?? [] where !Self.featureMembers.contains(member.key) {
                feature[member.key] = member.value
            }
            features.append(.object(feature))
        }
        return features
    }

    /// What Feast says of a feature; the rest only Aerie does.
    private static let featureMembers: Set = [
        "name", "dtype", "description", "tags", "vectorIndex", "vectorLength", "vectorSearchMetric",
    ]

    /// `FeatureSpecV2 {5: vector_index, 6: vector_search_metric, 7: vector_length}`.
    private mutating func vectorIndex(_ field: ProtobufMessage, _ type: FeatureType, _ feature: inout JSONObject) {
        guard field.number(5) != 0 else { return }
        let name = "\(object.name):\(field.text(1))"
        guard VectorIndex.takes(type) else {
            problems.append("'\(name)' is \(type.rawValue), and rows are found by lists of numbers with a point alone")
            return
        }
        feature["vectorIndex"] = true
        if field.number(7) != 0 { feature["vectorLength"] = .int(Int64(bitPattern: field.number(7))) }
        let metric = field.text(6)
        if metric.isEmpty { return }
        if VectorMetric(name: metric) != nil {
            feature["vectorSearchMetric"] = .string(metric)
        } else {
            problems.append("the metric '\(metric)' of '\(name)' is none that is measured; a search then says its own")
        }
    }

    // MARK: Source

    /// `DataSource.SourceType` numbers of warehouses -> the field of their options and their name here.
    private static let warehouses: [UInt64: (options: Int, name: String)] = [
        2: (12, "bigquery"), 5: (15, "redshift"), 8: (19, "snowflake"), 10: (30, "trino"), 11: (27, "spark"),
        12: (35, "athena"),
    ]

    mutating func source(_ message: ProtobufMessage?) throws(AerieError) -> JSONObject? {
        guard let message else {
            problems.append("feature view '\(object.name)' has no batch source")
            return nil
        }
        var source: JSONObject
        let type = message.number(1)
        let name = message.text(20)
        switch type {
        case 1:
            guard let place = file(try message.message(11)) else { return nil }
            source = place
        case let type where Self.warehouses[type] != nil:
            guard let warehouse = Self.warehouses[type] else { return nil }
            let table = try message.message(warehouse.options)?.text(1) ?? ""
            guard !table.isEmpty else {
                problems.append("source '\(name)' is a query of \(warehouse.name), not a table")
                return nil
            }
            source = ["type": .string(warehouse.name), "table": .string(table)]
        default:
            problems.append("source '\(name)' is of a kind that is not read here (\(message.text(17)))")
            return nil
        }
        if !message.text(3).isEmpty { source["timestampField"] = .string(message.text(3)) }
        if !message.text(5).isEmpty { source["createdTimestampColumn"] = .string(message.text(5)) }
        let mapping = try message.map(2)
        if !mapping.isEmpty { source["fieldMapping"] = .object(JSONObject(mapping.map { ($0.key, .string($0.value)) })) }
        return source
    }

    /// `DataSource.FileOptions`: `file_format` in 1, `uri` in 2.
    private mutating func file(_ options: ProtobufMessage?) -> JSONObject? {
        let path = options?.text(2) ?? ""
        let format: ProtobufMessage?
        do throws(AerieError) { format = try options?.message(1) } catch { format = nil }
        if format?.has(2) == true {
            problems.append("the file '\(path)' is a Delta table")
            return nil
        }
        guard let place = FeastSourcePlace(path: path) else {
            problems.append(
                "feature view '\(object.name)' has a file source "
                    + (path.isEmpty ? "without a path" : "'\(path)', which names no table behind a #"))
            return nil
        }
        return place.source
    }

    // MARK: Feature service

    /// A projection under its view's own name is a list of references; another is an object, as one view may stand in
    /// a service twice.
    private mutating func featureService() throws(AerieError) -> Outcome {
        var references: [JSONValue] = []
        for projection in try object.spec.messages(3) {
            var view = projection.text(1)
            let features = try projection.messages(2).map { $0.text(1) }
            let joinKeys = try projection.map(4)
            var alias = projection.text(3)
            if alias == view { alias = "" }
            // `version_tag`, which is there for version 0 too.
            if projection.has(10) { view = "\(view)@v\(projection.number(10))" }
            if joinKeys.isEmpty, alias.isEmpty {
                references += features.map { .string("\(view):\($0)") }
                continue
            }
            var reference: JSONObject = ["view": .string(view), "features": .array(features.map { .string($0) })]
            if !alias.isEmpty { reference["name"] = .string(alias) }
            if !joinKeys.isEmpty {
                reference["joinKeys"] = .object(JSONObject(joinKeys.map { ($0.key, .string($0.value)) }))
            }
            references.append(.object(reference))
        }
        guard !references.isEmpty else {
            problems.append("feature service '\(object.name)' has no features")
            return outcome
        }
        var spec: JSONObject = ["features": .array(references)]
        try described(&spec, description: 5, owner: 6, tags: 4)
        return resource(
            "FeatureService", keepingRest(spec, known: ["features", "description", "owner", "tags"]))
    }
}
