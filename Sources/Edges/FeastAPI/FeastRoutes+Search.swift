import AerieCore
import AerieJSON
import Features

/// Finding rows by the nearness of vectors and by words: `POST search`, and `retrieve-online-documents`,
/// its older name.
///
/// Both versions of the request (`api_version`) are answered with what the SDK's two ways of asking read: the features,
/// `distance`, for words `text_rank`, and the keys. The rows of version 1 come the best first. Those of version 2 come
/// in the order of their keys: SDK 0.67 gives the features of the first row to the smallest key, so that in any other
/// order it would show entities with the features of others. Filters are met by every row that is found, and not looked
/// at afterwards.
extension FeastRoutes {
    /// What is answered where the request does not say how many.
    static let defaultLimit = 10

    func search(_ call: Call) async throws(AerieError) -> FeastReply {
        let body = call.body
        var metric: VectorMetric?
        if let name = try Self.text(body, "distance_metric") {
            metric = VectorMetric(name: name)
            if metric == nil {
                let names = VectorMetric.allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalid("distance_metric", "'\(name)' is no metric; there are \(names)")
            }
        }
        let limit = try Self.whole(body, "top_k") ?? Self.defaultLimit
        let search = RowSearch(
            selection: try await searchSelection(body, namespace: call.namespace),
            vector: try Self.vector(body, "query"), words: try Self.text(body, "query_string"), limit: limit,
            metric: metric, filter: try RowFilter(feast: body["filters"], "filters"))
        var answer = try await store.search(search, namespace: call.namespace)
        if body["api_version"]?.int == 2 { answer.sortByKeys(behind: search.measures) }
        var views: [FeatureViewVersion]?
        if try Self.flag(body, "include_feature_view_version_metadata") {
            views = try await store.plan(search.selection, namespace: call.namespace).viewVersions
        }
        return Self.json(OnlineAnswerJSON.bytes(answer, views: views))
    }

    /// Without `view:distance` and `view:text_rank`, as which the SDK has to name what it wants of these.
    private func searchSelection(
        _ body: JSONObject, namespace: String
    ) async throws(AerieError) -> FeatureStore.Selection {
        var selection = try Self.selection(body)
        let views = try await store.catalog(namespace).views
        selection.references.removeAll { text in
            let parts = text.split(separator: ":")
            guard parts.count == 2, RowSearch.measureColumns.contains(String(parts[1])) else { return false }
            let view = views[String(parts[0].prefix { $0 != "@" })]?.definition
            return view?.features.contains { $0.name == parts[1] } == false
        }
        return selection
    }

    static func vector(_ body: JSONObject, _ name: String) throws(AerieError) -> [Double]? {
        guard let value = body[name], !value.isNull else { return nil }
        guard let list = value.array else { throw .invalid(name, "must be a vector, as a list of numbers") }
        var numbers: [Double] = []
        numbers.reserveCapacity(list.count)
        for (place, element) in list.enumerated() {
            guard let number = element.double else { throw .invalid("\(name)[\(place)]", "must be a number") }
            numbers.append(number)
        }
        return numbers
    }
}

extension OnlineAnswer {
    /// Puts the rows into the order that Python has for their keys, which stand behind what says how well they match.
    fileprivate mutating func sortByKeys(behind measures: [String]) {
        guard let last = columns.firstIndex(where: { $0.name == measures.last }) else { return }
        let keys = columns[(last + 1)...].map { $0.values.map(\.json) }
        func isBefore(_ one: Int, _ other: Int) -> Bool {
            for column in keys where column[one] != column[other] {
                if let one = column[one].int, let other = column[other].int { return one < other }
                return (column[one].string ?? "").utf8.lexicographicallyPrecedes((column[other].string ?? "").utf8)
            }
            return false
        }
        let order = columns[last].values.indices.sorted(by: isBefore)
        for place in columns.indices {
            let column = columns[place]
            columns[place].values = order.map { column.values[$0] }
            columns[place].statuses = order.map { column.statuses[$0] }
            columns[place].times = order.map { column.times[$0] }
        }
    }
}

extension RowFilter {
    private static let depthLimit = 20

    /// `{type, key, value}` and `{type: and | or, filters}`, as Feast's SDK and OpenAI's clients write them.
    /// - Returns: `nil` for none.
    init?(feast json: JSONValue?, _ path: String, depth: Int = 0) throws(AerieError) {
        guard let json, !json.isNull else { return nil }
        guard depth < Self.depthLimit else { throw .invalid(path, "is more than \(Self.depthLimit) filters deep") }
        guard let type = json["type"]?.string else {
            throw .invalid(path, "must be an object with the type of the filter")
        }
        if type == "and" || type == "or" {
            guard let list = json["filters"]?.array else { throw .invalid("\(path).filters", "must be a list") }
            var filters: [RowFilter] = []
            for (place, element) in list.enumerated() {
                let inner = "\(path).filters[\(place)]"
                guard let filter = try RowFilter(feast: element, inner, depth: depth + 1) else {
                    throw .invalid(inner, "must be a filter")
                }
                filters.append(filter)
            }
            self = type == "and" ? .all(filters) : .any(filters)
            return
        }
        guard let comparison = Operator(rawValue: type) else {
            let names = Operator.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("\(path).type", "'\(type)' is no filter; there are \(names), and, or")
        }
        guard let column = json["key"]?.string else { throw .invalid("\(path).key", "must be a text") }
        let value = json["value"] ?? .null
        guard comparison == .isIn || comparison == .isNotIn else {
            self = .comparison(column: column, comparison, values: [value])
            return
        }
        guard let values = value.array else { throw .invalid("\(path).value", "must be a list for '\(type)'") }
        self = .comparison(column: column, comparison, values: values)
    }
}
