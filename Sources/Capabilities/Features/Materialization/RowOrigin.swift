import AerieJSON

/// What the rows of a view were made of when they were copied into the online store. It is kept with the mark of how
/// far they are: the next incremental materialization goes on from there only while the rows would be the same now.
///
/// A description, a default, a suite or a tag is no part of it, as rows are the same without; nor is whether the view
/// is online, which says when rows are copied, and not which.
struct RowOrigin: Sendable, Hashable {
    /// Of each join key its name, column and type.
    private var keys: [String]
    /// Where the rows are and which columns say their times.
    private var source: [String: String]
    /// How long a row could matter, in microseconds; `nil` for ever. What was older has not been copied.
    private var life: Int64?
    /// Name of a feature -> its column and type.
    private var features: [String: String]
    /// The name that tells windows from those of another definition; `nil` for a view without.
    private var windows: String?

    init(_ view: FeatureCatalog.View) {
        let definition = view.definition
        keys = view.joinKeys.map { "\($0.description) from \(definition.column(of: $0.name))" }
        source = ["type": definition.sourceType, "location": definition.location]
        source["database"] = definition.database
        source["timestampField"] = definition.timestampField
        source["createdTimestampColumn"] = definition.createdTimestampColumn
        if case .postgres(let url, _)? = definition.connection?.place { source["url"] = url }
        life = definition.timeToLive
        windows = view.online.windows?.rowName
        features = Dictionary(
            definition.features.map { ($0.name, "\(definition.column(of: $0.name)) \($0.type.rawValue)") },
            uniquingKeysWith: { first, _ in first })
    }

    /// - Returns: `nil` for what is no origin.
    init?(_ json: JSONValue?) {
        func texts(_ value: JSONValue?) -> [String: String]? {
            value?.object.map { Dictionary($0.members.map { ($0.key, $0.value.string ?? "") }) { first, _ in first } }
        }
        guard let keys = json?["keys"]?.array, let source = texts(json?["source"]), let features = texts(json?["features"])
        else { return nil }
        self.keys = keys.compactMap(\.string)
        self.source = source
        self.features = features
        life = json?["life"]?.int
        windows = json?["windows"]?.string
    }

    var json: JSONValue {
        func object(_ texts: [String: String]) -> JSONValue {
            .object(JSONObject(texts.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        return [
            "keys": .array(keys.map { .string($0) }), "source": object(source), "life": life.map { .int($0) } ?? .null,
            "features": object(features), "windows": windows.map { .string($0) } ?? .null,
        ]
    }

    /// Why rows of this origin are not those of another, for whoever waits for them to be made anew; `nil` if they are.
    /// A feature that is gone is none: the rows have more than is asked for.
    func gap(to wanted: RowOrigin) -> String? {
        if keys != wanted.keys { return "its keys have changed" }
        if windows != wanted.windows { return "its windows begin anew" }
        if source != wanted.source {
            let names = Set(source.keys).union(wanted.source.keys).filter { source[$0] != wanted.source[$0] }
            return "its source has changed (\(names.sorted().joined(separator: ", ")))"
        }
        if let life, wanted.life.map({ $0 > life }) ?? true { return "its ttl is longer than it was" }
        for (name, column) in wanted.features.sorted(by: { $0.key < $1.key }) {
            guard let before = features[name] else { return "feature '\(name)' is new" }
            if before != column { return "feature '\(name)' is \(column), and was \(before)" }
        }
        return nil
    }
}

extension FeatureCatalog.View {
    /// Where the last materialization has ended, in microseconds since 1970; `nil` if there was none, or none whose
    /// rows the present definition would have: see `rereadReason`.
    public var materializedUntil: Int64? { rereadReason == nil ? lastMaterialization : nil }

    /// Why the next incremental materialization reads everything though there was one before; `nil` if it does not.
    public var rereadReason: String? { MaterializationRecord.gap(status, self) }

    private var lastMaterialization: Int64? { status["materializedUntil"]?.string.flatMap(FeatureTime.parse) }
}
