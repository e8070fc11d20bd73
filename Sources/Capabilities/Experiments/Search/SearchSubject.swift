/// What is searched for, and hence which words a filter may use.
public struct SearchSubject: Sendable {
    /// Attributes by every name that a filter may call them, in lowercase, with the name that stores know.
    let attributes: [String: String]
    let numericAttributes: Set<String>
    /// Attributes that may be compared with a list.
    let listAttributes: Set<String>
    let kinds: Set<SearchField.Kind>
    /// Attributes to order by, beside metrics, params and tags where those are allowed.
    let orderable: Set<String>

    private static func table(_ names: [String], aliases: [String: String] = [:]) -> [String: String] {
        aliases.merging(names.map { ($0, $0) }) { first, _ in first }
    }

    public static let runs = SearchSubject(
        attributes: table(
            ["run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri", "experiment_id"],
            aliases: ["run name": "run_name", "created": "start_time"]),
        numericAttributes: ["start_time", "end_time"], listAttributes: ["run_id"],
        kinds: [.attribute, .metric, .param, .tag, .dataset],
        orderable: ["run_id", "run_name", "user_id", "status", "start_time", "end_time", "artifact_uri"])

    public static let experiments = SearchSubject(
        attributes: table(["name", "experiment_id", "creation_time", "last_update_time"]),
        numericAttributes: ["creation_time", "last_update_time"], listAttributes: ["experiment_id", "name"],
        kinds: [.attribute, .tag], orderable: ["name", "experiment_id", "creation_time", "last_update_time"])

    public static let loggedModels = SearchSubject(
        attributes: table(
            ["name", "model_id", "model_type", "status", "source_run_id", "experiment_id", "creation_timestamp",
             "last_updated_timestamp"],
            aliases: [
                "creation_timestamp_ms": "creation_timestamp", "creation_time": "creation_timestamp",
                "last_updated_timestamp_ms": "last_updated_timestamp", "last_updated_time": "last_updated_timestamp",
            ]),
        numericAttributes: ["creation_timestamp", "last_updated_timestamp"],
        listAttributes: ["name", "model_id", "status", "source_run_id", "model_type"],
        kinds: [.attribute, .metric, .param, .tag],
        orderable: ["name", "model_id", "status", "creation_timestamp", "last_updated_timestamp"])

    public static let registeredModels = SearchSubject(
        attributes: table(["name"]), numericAttributes: [], listAttributes: ["name"], kinds: [.attribute, .tag],
        orderable: ["name", "creation_timestamp", "last_updated_timestamp"],
        orderAliases: ["timestamp": "last_updated_timestamp"])

    public static let modelVersions = SearchSubject(
        attributes: table(["name", "version_number", "run_id", "source_path", "model_id"],
                          aliases: ["version": "version_number"]),
        numericAttributes: ["version_number"], listAttributes: ["name", "run_id"], kinds: [.attribute, .tag],
        orderable: ["name", "version_number", "creation_timestamp", "last_updated_timestamp"])

    public static let traces = SearchSubject(
        attributes: table(
            [
                "trace_id", "name", "status", "timestamp", "execution_time", "end_time", "run_id", "client_request_id",
                "prompt", "text",
            ],
            aliases: [
                "request_id": "trace_id", "timestamp_ms": "timestamp", "request_time": "timestamp",
                "execution_time_ms": "execution_time", "execution_duration": "execution_time", "state": "status",
                "end_time_ms": "end_time",
            ]),
        numericAttributes: ["timestamp", "execution_time", "end_time"],
        listAttributes: ["trace_id", "name", "status", "run_id", "client_request_id"],
        kinds: [.attribute, .tag, .metadata, .span, .feedback, .expectation, .issue],
        orderable: [
            "trace_id", "name", "status", "timestamp", "execution_time", "end_time", "run_id", "experiment_id",
        ], orderAliases: ["experiment_id": "experiment_id"])

    let orderAliases: [String: String]

    init(
        attributes: [String: String], numericAttributes: Set<String>, listAttributes: Set<String>,
        kinds: Set<SearchField.Kind>, orderable: Set<String>, orderAliases: [String: String] = [:]
    ) {
        self.attributes = attributes
        self.numericAttributes = numericAttributes
        self.listAttributes = listAttributes
        self.kinds = kinds
        self.orderable = orderable
        self.orderAliases = orderAliases.merging(attributes) { first, _ in first }
    }

    /// The word before the point that names a kind, in any of the forms that clients write.
    static func kind(_ word: String) -> SearchField.Kind? {
        switch word.lowercased() {
        case "metric", "metrics": .metric
        case "parameter", "parameters", "param", "params": .param
        case "tag", "tags": .tag
        case "attribute", "attributes", "attr", "run", "trace": .attribute
        case "dataset", "datasets": .dataset
        case "metadata", "request_metadata": .metadata
        case "span": .span
        case "feedback": .feedback
        case "expectation": .expectation
        case "issue": .issue
        default: nil
        }
    }
}
