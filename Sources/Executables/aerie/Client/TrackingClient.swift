import AerieCore
import AerieJSON
import NIOHTTP1

/// The tracking and registry part of the server, in the words of MLflow's messages.
struct TrackingClient: Sendable {
    /// Elements that are asked for at once.
    static let pageSize = 1000

    let client: PlatformClient

    func get(_ path: String, _ query: [(String, String)] = []) async throws(AerieError) -> JSONValue {
        try await client.send(.GET, "/api/2.0/mlflow/\(path)", query, nil)
    }

    @discardableResult
    func send(
        _ path: String, _ body: JSONObject, method: HTTPMethod = .POST
    ) async throws(AerieError) -> JSONValue {
        try await client.send(
            method, "/api/2.0/mlflow/\(path)", [], (JSONValue.object(body).text(), "application/json"))
    }

    func delete(_ path: String, _ body: JSONObject) async throws(AerieError) {
        try await send(path, body, method: .DELETE)
    }

    /// Which elements a search is for. A limit of 0 means all.
    struct Search: Sendable {
        var path: String
        /// The member of the answer that holds the elements.
        var key: String
        var fields: JSONObject = [:]
        var filter: String?
        var orderBy: [String] = []
        var limit = 0
        var isGet = false
    }

    /// Hands over page after page, at most `limit` elements in all. Memory: one page.
    /// - Returns: whether there are more.
    @discardableResult
    func pages(
        _ search: Search, each: ([JSONValue]) async throws(AerieError) -> Void
    ) async throws(AerieError) -> Bool {
        var left = search.limit > 0 ? search.limit : Int.max
        var fields = search.fields
        if let filter = search.filter, !filter.isEmpty { fields["filter"] = .string(filter) }
        if !search.orderBy.isEmpty { fields["order_by"] = .array(search.orderBy.map { .string($0) }) }
        while true {
            fields["max_results"] = .int(Int64(min(left, Self.pageSize)))
            let answer =
                try await search.isGet
                ? get(search.path, Self.query(fields)) : send(search.path, fields)
            let elements = answer[search.key]?.array ?? []
            try await each(elements)
            left -= elements.count
            guard let next = answer["next_page_token"]?.string, !next.isEmpty else { return false }
            if left <= 0 { return true }
            fields["page_token"] = .string(next)
        }
    }

    /// All elements of a search, and whether the limit left some out.
    func all(_ search: Search) async throws(AerieError) -> (elements: [JSONValue], hasMore: Bool) {
        var elements: [JSONValue] = []
        let hasMore = try await pages(search) { page throws(AerieError) in elements += page }
        return (elements, hasMore)
    }

    private static func query(_ fields: JSONObject) -> [(String, String)] {
        fields.members.flatMap { member -> [(String, String)] in
            switch member.value {
            case .array(let list): list.map { (member.key, $0.string ?? $0.text()) }
            case .string(let text): [(member.key, text)]
            default: [(member.key, member.value.text())]
            }
        }
    }

    // MARK: Experiments

    /// By number or name, also a deleted one.
    /// - Throws: `notFound` with the place to look.
    func experiment(_ nameOrID: String) async throws(AerieError) -> JSONValue {
        if !nameOrID.isEmpty, nameOrID.utf8.allSatisfy({ (0x30...0x39).contains($0) }) {
            do throws(AerieError) {
                if let found = try await get("experiments/get", [("experiment_id", nameOrID)])["experiment"] {
                    return found
                }
            } catch { if error.code != .notFound { throw error } }
        }
        do throws(AerieError) {
            if let found = try await get("experiments/get-by-name", [("experiment_name", nameOrID)])["experiment"] {
                return found
            }
        } catch { if error.code != .notFound { throw error } }
        throw .notFound(
            "there is no experiment with the name or number \"\(nameOrID.visible)\"; see `aerie experiments list`, "
                + "and with --deleted those that were deleted")
    }

    func experimentID(_ nameOrID: String) async throws(AerieError) -> String {
        try await experiment(nameOrID)["experiment_id"]?.string ?? ""
    }

    private func everyExperiment() async throws(AerieError) -> [JSONValue] {
        try await all(Search(path: "experiments/search", key: "experiments", fields: ["view_type": "ALL"]))
            .elements.compactMap { $0["experiment_id"] }
    }

    // MARK: Runs

    /// By identifier, by the beginning of one that no other has, or by a name that no other has; also a deleted one.
    /// - Throws: `notFound` with the place to look, `failedPrecondition` with the candidates.
    func run(_ reference: String) async throws(AerieError) -> JSONValue {
        if reference.utf8.count == 32, Self.isHexadecimal(reference) {
            do throws(AerieError) {
                if let run = try await get("runs/get", [("run_id", reference)])["run"] { return run }
            } catch { if error.code != .notFound { throw error } }
        }
        var found: [JSONValue] = []
        let experiments = try await everyExperiment()
        var filters: [String] = []
        if !reference.isEmpty, !reference.contains("'") || !reference.contains("\"") {
            let quote = reference.contains("'") ? "\"" : "'"
            filters.append("attributes.run_name = \(quote)\(reference)\(quote)")
        }
        if reference.utf8.count >= 4, reference.utf8.count < 32, Self.isHexadecimal(reference) {
            filters.append("attributes.run_id LIKE '\(reference.lowercased())%'")
        }
        for filter in filters where !experiments.isEmpty {
            let runs = try await all(
                Search(
                    path: "runs/search", key: "runs",
                    fields: ["experiment_ids": .array(experiments), "run_view_type": "ALL"], filter: filter, limit: 12))
            for run in runs.elements where !found.contains(where: { Self.id($0) == Self.id(run) }) {
                found.append(run)
            }
        }
        if found.count == 1 { return found[0] }
        guard !found.isEmpty else {
            throw .notFound(
                "there is no run \"\(reference.visible)\": no identifier begins so (at least 4 characters), and no run "
                    + "has that name; see `aerie runs list --experiment NAME`, and with --deleted the deleted ones")
        }
        throw Self.ambiguous(reference, found)
    }

    /// Several runs that fit, as an error that shows them.
    static func ambiguous(_ reference: String, _ runs: [JSONValue]) -> AerieError {
        let shown = runs.prefix(10).map { run in
            "\n  \(id(run))  \((run["info"]?["run_name"]?.string ?? "").visible)"
                + "  (experiment \(run["info"]?["experiment_id"]?.string ?? ""))"
        }
        let more = runs.count > 10 ? "\n  and more" : ""
        return AerieError(
            .failedPrecondition,
            "\"\(reference.visible)\" fits several runs; write more of the identifier:" + shown.joined() + more,
            reason: "run.ambiguous")
    }

    static func id(_ run: JSONValue) -> String { run["info"]?["run_id"]?.string ?? "" }

    func runID(_ reference: String) async throws(AerieError) -> String { Self.id(try await run(reference)) }

    private static func isHexadecimal(_ text: String) -> Bool { text.allSatisfy { $0.isASCII && $0.isHexDigit } }

    /// The whole history of a metric, page after page.
    func history(
        _ run: String, key: String, each: ([JSONValue]) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        var query = [("run_id", run), ("metric_key", key), ("max_results", "25000")]
        while true {
            let answer = try await get("metrics/get-history", query)
            try await each(answer["metrics"]?.array ?? [])
            guard let next = answer["next_page_token"]?.string, !next.isEmpty else { return }
            query = Array(query.prefix(3)) + [("page_token", next)]
        }
    }

    // MARK: Models

    /// A version by its number, `@alias`, or `latest`.
    func version(_ name: String, _ reference: String) async throws(AerieError) -> JSONValue {
        if reference.hasPrefix("@") {
            let query = [("name", name), ("alias", String(reference.dropFirst()))]
            if let found = try await get("registered-models/alias", query)["model_version"] { return found }
        } else if reference == "latest" {
            let all = try await versions(name, filter: nil)
            let newest = all.max { Self.number($0) < Self.number($1) }
            if let newest { return newest }
        } else {
            guard let number = Int(reference), number > 0 else {
                throw .invalid("version", "\"\(reference.visible)\" is no version; write its number, @ALIAS or latest")
            }
            let query = [("name", name), ("version", "\(number)")]
            if let found = try await get("model-versions/get", query)["model_version"] { return found }
        }
        throw .notFound("the model \"\(name.visible)\" has no version \"\(reference.visible)\"")
    }

    static func number(_ version: JSONValue) -> Int { version["version"]?.string.flatMap { Int($0) } ?? 0 }

    func model(_ name: String) async throws(AerieError) -> JSONValue {
        do throws(AerieError) {
            return try await get("registered-models/get", [("name", name)])["registered_model"] ?? .null
        } catch {
            guard error.code == .notFound else { throw error }
            throw .notFound("there is no registered model \"\(name.visible)\"; see `aerie models list`")
        }
    }

    /// All versions of a model, oldest first.
    func versions(_ name: String, filter: String?) async throws(AerieError) -> [JSONValue] {
        _ = try await model(name)
        guard !(name.contains("'") && name.contains("\"")) else {
            throw .invalid("name", "a name with both kinds of quotes cannot be searched for")
        }
        let quote = name.contains("'") ? "\"" : "'"
        let own = "name = \(quote)\(name)\(quote)"
        let both = filter.map { $0.isEmpty ? own : "\(own) AND \($0)" } ?? own
        return try await all(
            Search(path: "model-versions/search", key: "model_versions", filter: both, isGet: true)
        ).elements.sorted { Self.number($0) < Self.number($1) }
    }
}

extension AerieError {
    /// An error in MLflow's words; `nil` if the body is none.
    init?(tracking body: JSONValue) {
        guard let word = body["error_code"]?.string, let message = body["message"]?.string else { return nil }
        let code: Code =
            switch word {
            case "INVALID_PARAMETER_VALUE", "BAD_REQUEST": .invalidArgument
            case "RESOURCE_DOES_NOT_EXIST", "ENDPOINT_NOT_FOUND": .notFound
            case "RESOURCE_ALREADY_EXISTS": .alreadyExists
            case "RESOURCE_CONFLICT": .conflict
            case "PERMISSION_DENIED": .permissionDenied
            case "UNAUTHENTICATED": .unauthenticated
            case "REQUEST_LIMIT_EXCEEDED": .resourceExhausted
            case "NOT_IMPLEMENTED": .unsupported
            case "TEMPORARILY_UNAVAILABLE": .unavailable
            default: .internal
            }
        self.init(code, message)
    }
}
