public import AerieCore
public import AerieJSON
import Datasets
import Streaming

/// A feature view that has been read and checked.
public struct FeatureViewDefinition: Sendable, Hashable {
    public struct Feature: Sendable, Hashable {
        public var name: String
        public var type: FeatureType
        public var description = ""
        public var tags: [String: String] = [:]
        /// What a model gets where no value is known; `nil` for nothing.
        public var fallback: FeatureValue?
        /// For vectors that rows are found by; `nil` for any other feature.
        public var vectorIndex: VectorIndex?
    }

    public var name: String
    public var entities: [String]
    /// How long a value holds after its time, the last instant included, in microseconds; `nil` for ever.
    public var timeToLive: Int64?
    /// Whether rows that do not hold any more are taken out of the online store.
    public var dropsExpired = false
    /// `parquet`, `csv`, `table`, `duckdb`, `postgres`, `push` or `bigquery`.
    public var sourceType: String
    /// The path of the files or the name of the table.
    public var location: String
    /// The file of a DuckDB database that the table is in.
    public var database: String?
    /// The name of the connection that the table is reached by, and what it stands for.
    public var connectionName: String?
    public var connection: SourceConnection?
    /// The source's columns of the join keys, if they are known.
    public var joinKeys: [String] = []
    /// Where pushed rows are kept, as `namespace/name`; empty if that is not known.
    public var pushedTo = ""
    /// `nil`: the source's only timestamp column, else `event_timestamp`.
    public var timestampField: String?
    public var createdTimestampColumn: String?
    /// Column of the source -> name of the feature or key.
    public var fieldMapping: [String: String]
    public var features: [Feature]
    /// For a view without windows: the log that its rows come by, besides its source.
    var stream: StreamSource?
    /// For a view whose features are computed over a stream of events.
    public var windows: WindowDefinition?
    /// For a view whose features are computed from others at each read.
    public var onDemand: OnDemandDefinition?
    /// How old the newest value may be, in microseconds; `nil` for any age.
    public var freshness: Int64?
    /// How far the time of a row that is pushed or comes by a stream may be ahead of the clock, in microseconds: as the
    /// newest row counts, one of a far future would hide all that come after it. Events of windows have a limit of
    /// their own, `WindowPlan.futureLimit`.
    public var futureLimit = defaultFutureLimit

    static let defaultFutureLimit: Int64 = 24 * 3600 * 1_000_000

    /// - Throws: `invalidArgument` with every problem and its path below `path`.
    public static func parse(
        _ spec: JSONObject, name: String, path: String = "spec"
    ) throws(AerieError) -> FeatureViewDefinition {
        var problems: [AerieError.Detail] = []
        let view = read(spec, name: name, path: path, problems: &problems)
        if let error = AerieError.invalid("the feature view '\(name)' is wrong", problems: problems) { throw error }
        return view
    }

    /// How long a row of the source can matter, in microseconds; `nil` for ever.
    var lifetime: Int64? { timeToLive ?? windows?.plan.retention }

    /// Whether this process can read the source.
    public var isConnected: Bool { sourceType != "bigquery" && hasSource }

    /// Whether the view has rows of its own, wherever they are.
    public var hasSource: Bool { sourceType != Self.noSource }

    /// The type of the source of a view that has none.
    static let noSource = "none"

    /// What stands after `FROM` to read the source.
    public var relation: String {
        switch sourceType {
        case "table": location.split(separator: ".").map { sqlIdentifier(String($0)) }.joined(separator: ".")
        case "csv": "read_csv_auto(\(sqlString(location)))"
        default: "read_parquet(\(sqlString(location)))"
        }
    }

    static func read(
        _ spec: JSONObject, name: String, path: String, problems: inout [AerieError.Detail]
    ) -> FeatureViewDefinition {
        func wrong(_ field: String, _ problem: String) {
            problems.append(.init(field: "\(path).\(field)", problem: problem))
        }
        if let problem = FeatureName.problem(name) {
            problems.append(.init(field: path == "spec" ? "metadata.name" : "\(path).name", problem: problem))
        }
        let source = spec["source"]?.object ?? [:]
        let file = source["path"]?.string
        let table = source["table"]?.string
        var type = source["type"]?.string ?? (table != nil ? "table" : "file")
        // A table of a warehouse may have its rows in files besides.
        if type == "bigquery", let file, !file.isEmpty { type = "file" }
        if spec["source"] == nil, spec["stream"] != nil || spec["onDemand"] != nil {
            // Rows that come by a stream are kept, and so are a source.
            let isOfRows = spec["features"] != nil && spec["aggregations"] == nil && spec["onDemand"] == nil
            type = isOfRows && spec["stream"]?["to"]?.string != PushTarget.online.rawValue ? "push" : noSource
        } else {
            for (field, problem) in problemsOfSource(source, type: type) { wrong(field, problem) }
        }
        if type == "file" { type = (file ?? "").contains(".csv") ? "csv" : "parquet" }
        var view = FeatureViewDefinition(
            name: name, entities: spec["entities"]?.array?.compactMap(\.string) ?? [], timeToLive: nil,
            sourceType: type, location: type == "duckdb" ? table ?? "" : file ?? table ?? "",
            database: type == "duckdb" ? file : nil, connectionName: source["connection"]?.string,
            timestampField: source["timestampField"]?.string,
            createdTimestampColumn: source["createdTimestampColumn"]?.string, fieldMapping: [:], features: [])
        for (field, problem) in view.readColumns(of: source) { wrong(field, problem) }
        if let ttl = spec["ttl"], !ttl.isNull {
            if let microseconds = microseconds(ttl, years: 1000) {
                view.timeToLive = microseconds == 0 ? nil : microseconds
            } else {
                wrong(
                    "ttl", "\(ttl.text()) is no duration; write seconds as \"86400s\", or 90m, 24h, 7d; 0s is unlimited"
                )
            }
        }
        view.dropsExpired = spec["dropExpired"]?.bool ?? false
        if view.dropsExpired, view.timeToLive == nil { wrong("dropExpired", "needs a ttl, which says what has expired") }
        view.readAges(spec, wrong)
        if spec["aggregations"] != nil || spec["stream"] != nil && spec["features"] == nil {
            if let (windows, features) = WindowDefinition.read(spec, view, path: path, problems: &problems) {
                view.windows = windows
                view.features = features
            }
            return view
        }
        view.features = readFeatures(spec["features"]?.array ?? [], "\(path).features", &problems)
        if let stream = spec["stream"]?.object, spec["onDemand"] == nil {
            view.readRows(of: stream, path: "\(path).stream", problems: &problems)
        }
        if spec["onDemand"] != nil {
            view.onDemand = OnDemandDefinition.read(spec, view.features, path: path, problems: &problems)
        } else {
            for (index, feature) in (spec["features"]?.array ?? []).enumerated() where feature["expression"] != nil {
                wrong("features[\(index)].expression", "belongs to a view with spec.onDemand")
            }
        }
        return view
    }

    /// How old the newest row may be, and how far ahead of the clock.
    private mutating func readAges(_ spec: JSONObject, _ wrong: (_ field: String, _ problem: String) -> Void) {
        func length(_ field: String) -> Int64? {
            guard let value = spec[field], !value.isNull else { return nil }
            let length = Self.microseconds(value)
            if length == nil || length == 0 { wrong(field, "\(value.text()) is no duration; write 90m, 24h or 7d") }
            return length
        }
        freshness = length("freshness")
        futureLimit = length("futureLimit") ?? Self.defaultFutureLimit
        if spec["futureLimit"] != nil, spec["aggregations"] != nil {
            wrong("futureLimit", "belongs to a view without aggregations; an event may be ten minutes ahead")
        }
    }

    /// Reads what columns of the source are called here.
    /// - Returns: what two columns, or two keys, are called alike.
    private mutating func readColumns(of source: JSONObject) -> [(field: String, problem: String)] {
        var problems: [(field: String, problem: String)] = []
        var columns: [String: String] = [:]
        for member in source["fieldMapping"]?.object?.members ?? [] {
            guard let name = member.value.string else { continue }
            if let other = columns.updateValue(member.key, forKey: name) {
                let words = "two columns, '\(other)' and '\(member.key)', are called '\(name)'; one name is for one column"
                problems.append(("source.fieldMapping", words))
            }
            fieldMapping[member.key] = name
        }
        for (place, entity) in entities.enumerated() where entities[..<place].contains(entity) {
            problems.append(("entities[\(place)]", "'\(entity)' is named twice"))
        }
        return problems
    }

    /// A stream whose messages are rows of the view.
    private mutating func readRows(
        of spec: JSONObject, path: String, problems: inout [AerieError.Detail]
    ) {
        let source = StreamSource.read(
            spec, name: name, timestampField: timestampField, path: path, problems: &problems)
        for field in ["eventId", "allowedLateness"] where spec[field] != nil {
            problems.append(.init(field: "\(path).\(field)", problem: "belongs to a view with aggregations"))
        }
        if source.kafka == nil {
            problems.append(
                .init(
                    field: "\(path).type",
                    problem: "is kafka for a view without aggregations; rows are pushed to any view, by spec.pushSource"))
        }
        if let timestampField, timestampField != source.timestampField {
            problems.append(
                .init(field: "\(path).timestampField", problem: "is not that of the source, '\(timestampField)'"))
        }
        timestampField = source.timestampField
        stream = source
    }

    private static func problemsOfSource(_ source: JSONObject, type: String) -> [(field: String, problem: String)] {
        let hasPath = source["path"]?.string?.isEmpty == false
        let hasTable = source["table"]?.string?.isEmpty == false
        var problems: [(field: String, problem: String)] = []
        switch type {
        case "push":
            if hasPath || hasTable { problems.append(("source", "of type push has neither a path nor a table")) }
        case "duckdb":
            if !hasPath { problems.append(("source.path", "is required: the database's file")) }
            if !hasTable { problems.append(("source.table", "is required: the table in the database")) }
        case "postgres":
            if !hasTable || hasPath { problems.append(("source.table", "is required, and no path")) }
            if source["connection"]?.string == nil {
                problems.append(("source.connection", "is required: the name of a SourceConnection"))
            }
        default:
            if hasPath == hasTable { problems.append(("source", "needs either a path or a table")) }
            if type == "table", !hasTable {
                problems.append(("source.table", "is required for a source of type table"))
            }
        }
        if let path = source["path"]?.string, let at = path.firstRange(of: "://") {
            let scheme = String(path[..<at.lowerBound])
            if type == "duckdb" || !["s3", "gs", "gcs", "r2", "http", "https"].contains(scheme) {
                problems.append(("source.path", "'\(scheme)://' is no place that files are read from"))
            }
        }
        return problems
    }

    private static func readFeatures(
        _ list: [JSONValue], _ path: String, _ problems: inout [AerieError.Detail]
    ) -> [Feature] {
        if list.isEmpty { problems.append(.init(field: path, problem: "must have at least one feature")) }
        var features: [Feature] = []
        var names: Set<String> = []
        for (index, element) in list.enumerated() {
            let feature = readFeature(element, "\(path)[\(index)]", defaultType: nil, known: &names, &problems)
            if let feature { features.append(feature) }
        }
        let found = features.filter { $0.vectorIndex != nil }.map(\.name)
        if found.count > 1 {
            let names = found.joined(separator: ", ")
            problems.append(.init(field: path, problem: "rows are found by one feature with vectorIndex, not by \(names)"))
        }
        return features
    }

    /// - Parameters:
    ///   - defaultType: `nil` if the type must be said.
    ///   - known: names that are taken; the feature's is then among them.
    /// - Returns: `nil` for a feature without a usable type.
    static func readFeature(
        _ element: JSONValue, _ place: String, defaultType: FeatureType?, known: inout Set<String>,
        _ problems: inout [AerieError.Detail]
    ) -> Feature? {
        let name = element["name"]?.string ?? ""
        if let problem = FeatureName.problem(ofFeature: name) {
            problems.append(.init(field: "\(place).name", problem: problem))
        }
        if !known.insert(name).inserted {
            problems.append(.init(field: "\(place).name", problem: "'\(name)' is declared twice"))
        }
        let word = element["dtype"]?.string ?? defaultType?.rawValue ?? ""
        guard let type = FeatureType(name: word) else {
            problems.append(
                .init(
                    field: "\(place).dtype",
                    problem: "'\(word)' is no type; there are "
                        + FeatureType.names.joined(separator: ", ")))
            return nil
        }
        var feature = Feature(name: name, type: type, description: element["description"]?.string ?? "")
        for tag in element["tags"]?.object?.members ?? [] { feature.tags[tag.key] = tag.value.string }
        feature.vectorIndex = VectorIndex.read(element, type: type, place, &problems)
        if let fallback = element["default"], !fallback.isNull {
            do throws(AerieError) {
                feature.fallback = try FeatureValue(json: fallback, type: type, field: "\(place).default")
            } catch {
                problems.append(.init(field: "\(place).default", problem: "\(fallback.text()) is no \(word)"))
            }
        }
        return feature
    }

    /// `86400s`, `90m`, `24h`, `7d`, or a number of seconds, up to so many years.
    static func microseconds(_ value: JSONValue, years: Double = 100) -> Int64? {
        var unit = 1.0
        var number = value.double
        if let text = value.string, let last = text.last {
            let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
            unit = units[last] ?? 1
            number = Double(units[last] == nil ? text[...] : text.dropLast())
        }
        guard let number, number.isFinite, number >= 0, number * unit <= years * 366 * 86_400 else { return nil }
        return Int64((number * unit * 1_000_000).rounded())
    }
}
