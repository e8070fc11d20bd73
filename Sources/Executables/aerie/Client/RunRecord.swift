import AerieCore
import AerieJSON

/// A run as the client commands show it.
struct RunRecord: Sendable {
    var id: String
    var experiment: String
    var name: String
    var status: String
    var stage: String
    var user: String
    var artifactURI: String
    var start: Timestamp?
    var end: Timestamp?
    var params: [String: String]
    var metrics: [String: Double]
    var tags: [String: String]

    /// Reads MLflow's message of a run.
    init(_ json: JSONValue) {
        let info = json["info"]
        func text(_ key: String) -> String { info?[key]?.string ?? "" }
        id = text("run_id")
        experiment = text("experiment_id")
        name = text("run_name")
        status = text("status")
        stage = text("lifecycle_stage")
        user = text("user_id")
        artifactURI = text("artifact_uri")
        start = Self.time(info?["start_time"])
        end = Self.time(info?["end_time"])
        params = Self.pairs(json["data"]?["params"])
        tags = Self.pairs(json["data"]?["tags"])
        metrics = [:]
        for metric in json["data"]?["metrics"]?.array ?? [] {
            metrics[metric["key"]?.string ?? ""] = Self.number(metric["value"])
        }
    }

    static func time(_ value: JSONValue?) -> Timestamp? {
        let milliseconds = value?.int ?? value?.string.flatMap { Int64($0) }
        return milliseconds.flatMap { $0 > 0 ? Timestamp(milliseconds: $0) : nil }
    }

    static func number(_ value: JSONValue?) -> Double {
        value?.double ?? value?.string.flatMap { Double($0) } ?? .nan
    }

    static func pairs(_ list: JSONValue?) -> [String: String] {
        var pairs: [String: String] = [:]
        for pair in list?.array ?? [] { pairs[pair["key"]?.string ?? ""] = pair["value"]?.string ?? "" }
        return pairs
    }
}

/// What a column of a table or an export shows of a run.
enum RunColumn: Hashable, Sendable {
    case id, experiment, name, status, start, end, duration, user, stage
    case param(String)
    case metric(String)
    case tag(String)

    private static let words: [(String, RunColumn)] = [
        ("run_id", .id), ("experiment_id", .experiment), ("name", .name), ("status", .status), ("start", .start),
        ("end", .end), ("duration", .duration), ("user", .user), ("stage", .stage),
    ]

    /// What stands before `params.*`, `metrics.*` and `tags.*` in an export.
    static let exported: [RunColumn] = [.id, .experiment, .name, .status, .start, .end]

    /// - Throws: `invalidArgument` with the names that there are.
    init(_ text: String) throws(AerieError) {
        if let found = Self.words.first(where: { $0.0 == text }) {
            self = found.1
            return
        }
        if let dot = text.firstIndex(of: "."), text.index(after: dot) < text.endIndex {
            let key = String(text[text.index(after: dot)...])
            switch text[..<dot] {
            case "params", "param":
                self = .param(key)
                return
            case "metrics", "metric":
                self = .metric(key)
                return
            case "tags", "tag":
                self = .tag(key)
                return
            default: break
            }
        }
        throw .invalid(
            "--columns",
            "there is no column \"\(text.visible)\"; there are "
                + Self.words.map(\.0).joined(separator: ", ") + ", params.KEY, metrics.KEY and tags.KEY")
    }

    var title: String {
        switch self {
        case .param(let key): "params.\(key)"
        case .metric(let key): "metrics.\(key)"
        case .tag(let key): "tags.\(key)"
        default: Self.words.first { $0.1 == self }?.0 ?? ""
        }
    }

    var isNumber: Bool { if case .metric = self { true } else { self == .duration } }

    /// For people. - Parameter now: what ages are counted from; `nil` for the time itself.
    func cell(_ run: RunRecord, now: Timestamp?) -> String {
        switch self {
        case .id: return run.id
        case .experiment: return run.experiment
        case .name: return run.name
        case .status: return run.stage == "deleted" ? "\(run.status) (deleted)" : run.status
        case .start: return now.map { ClientOutput.age(of: run.start, now: $0) } ?? run.start?.iso8601 ?? ""
        case .end: return now.map { ClientOutput.age(of: run.end, now: $0) } ?? run.end?.iso8601 ?? ""
        case .duration: return Self.duration(run)
        case .user: return run.user
        case .stage: return run.stage
        case .param(let key): return run.params[key] ?? ""
        case .metric(let key): return run.metrics[key].map { TerminalChart.number($0) } ?? ""
        case .tag(let key): return run.tags[key] ?? ""
        }
    }

    /// For programs: `null` where it is missing, and a metric that is no number as the text `NaN`.
    func value(_ run: RunRecord) -> JSONValue {
        func text(_ text: String) -> JSONValue { text.isEmpty ? .null : .string(text) }
        switch self {
        case .id: return .string(run.id)
        case .experiment: return .string(run.experiment)
        case .name: return text(run.name)
        case .status: return text(run.status)
        case .start: return run.start.map { .string($0.iso8601Milliseconds) } ?? .null
        case .end: return run.end.map { .string($0.iso8601Milliseconds) } ?? .null
        case .duration:
            guard let start = run.start, let end = run.end else { return .null }
            return .int(end.milliseconds - start.milliseconds)
        case .user: return text(run.user)
        case .stage: return text(run.stage)
        case .param(let key): return run.params[key].map { .string($0) } ?? .null
        case .metric(let key): return run.metrics[key].map { Self.number($0) } ?? .null
        case .tag(let key): return run.tags[key].map { .string($0) } ?? .null
        }
    }

    static func number(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .string("NaN") }

    private static func duration(_ run: RunRecord) -> String {
        guard let start = run.start, let end = run.end else { return "" }
        let milliseconds = max(0, end.milliseconds - start.milliseconds)
        return switch milliseconds {
        case ..<60_000: "\(milliseconds / 1000).\(milliseconds % 1000 / 100)s"
        case ..<3_600_000: "\(milliseconds / 60_000)m\(milliseconds % 60_000 / 1000)s"
        default: "\(milliseconds / 3_600_000)h\(milliseconds % 3_600_000 / 60_000)m"
        }
    }
}
