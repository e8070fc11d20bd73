import AerieCore
import AerieJSON
import ErrorMapping
import Features

/// The vector stores of OpenAI's API, as Feast 0.67 has them: a view whose rows are found by vectors is a store, which
/// is there as soon as it is declared.
///
/// A search is by a text, whose vector the model makes that the settings name. Of the answer `attributes` are the
/// features, `content` the texts among them, and `file_id` ends with the row's keys. Errors have OpenAI's shape.
extension FeastRoutes {
    /// Answers a request however it came.
    func reply(to call: VectorStoreCall, namespace: String, body: [UInt8]) async -> FeastReply {
        do throws(AerieError) {
            let answer: JSONValue
            switch call {
            case .list: answer = try await vectorStores(namespace)
            case .retrieve(let id): answer = Self.vectorStore(try await view(id, namespace), namespace)
            case .search(let id):
                let view = try await view(id, namespace)
                answer = try await search(view, as: id, Call(body: try Self.object(body), namespace: namespace))
            }
            return Self.json(answer.utf8())
        } catch { return Self.vectorStoreFailure(error) }
    }

    private func vectorStores(_ namespace: String) async throws(AerieError) -> JSONValue {
        let stores = try await store.catalog(namespace).vectorViews.map { Self.vectorStore($0, namespace) }
        // Without `has_more` OpenAI's client asks for the next page for ever.
        return [
            "object": "list", "data": .array(stores), "first_id": stores.first?["id"] ?? .null,
            "last_id": stores.last?["id"] ?? .null, "has_more": false,
        ]
    }

    private static func vectorStore(_ view: FeatureCatalog.View, _ namespace: String) -> JSONValue {
        [
            "id": .string(VectorStoreCall.identifier(project: namespace, view: view.definition.name)),
            "object": "vector_store", "name": .string(view.definition.name), "status": "completed",
            "created_at": .int((view.created?.milliseconds ?? 0) / 1000),
        ]
    }

    private func view(_ id: String, _ namespace: String) async throws(AerieError) -> FeatureCatalog.View {
        for view in try await store.catalog(namespace).vectorViews
        where VectorStoreCall.identifier(project: namespace, view: view.definition.name) == id { return view }
        throw AerieError(.notFound, "No vector store found with id '\(id)'", reason: "vector_store.unknown")
    }

    private func search(
        _ view: FeatureCatalog.View, as id: String, _ call: Call
    ) async throws(AerieError) -> JSONValue {
        let body = call.body
        try Self.refuseOptions(body)
        let texts = try Self.searchedTexts(body)
        let limit = try Self.whole(body, "max_num_results") ?? Self.defaultLimit
        guard (1...RowSearch.rowLimit).contains(limit) else {
            throw .invalid("max_num_results", "\(limit) is not from 1 to \(RowSearch.rowLimit)")
        }
        let filter = try RowFilter(feast: body["filters"], "filters")
        var features: [String] = []
        if let metadata = body["metadata"]?.object { features = try Self.texts(metadata, "features_to_retrieve") }
        if features.isEmpty {
            features = view.definition.features.filter { $0.vectorIndex == nil }.map(\.name)
            if features.isEmpty { features = view.definition.features.map(\.name) }
        }
        let name = view.definition.name
        let vector = try await store.vector(of: texts.joined(separator: " "), in: view)
        // By their full names none is called like the column of distances.
        let selection = FeatureStore.Selection(references: features.map { "\(name):\($0)" }, usesFullNames: true)
        let search = RowSearch(selection: selection, vector: vector, limit: limit, filter: filter)
        let found = try await store.search(search, namespace: call.namespace)
        let metric = try view.vectorIndex().index.metric ?? .l2
        let rows = FoundRows(answer: found, features: features, store: id, metric: metric)
        return [
            "object": "vector_store.search_results.page", "search_query": .array(texts.map { .string($0) }),
            "data": .array(rows.json), "has_more": false, "next_page": nil,
        ]
    }

    private static func refuseOptions(_ body: JSONObject) throws(AerieError) {
        var refused: [String] = []
        for option in ["score_threshold", "ranker"] {
            if let value = body["ranking_options"]?[option], !value.isNull { refused.append("ranking_options.\(option)") }
        }
        if try flag(body, "rewrite_query") { refused.append("rewrite_query") }
        guard refused.isEmpty else {
            throw .invalid(refused.joined(separator: ", "), "not carried out; leave it out of the request")
        }
    }

    private static func searchedTexts(_ body: JSONObject) throws(AerieError) -> [String] {
        if let text = body["query"]?.string { return [text] }
        guard body["query"]?.array?.isEmpty == false else {
            throw .invalid("query", "must be a text, or a list of texts, that is searched for")
        }
        return try texts(body, "query")
    }

    /// `{"error": {"message", "type"}}`, with the statuses that Feast has: 404 for the store, 422 for what is wrong in
    /// the request or with the settings.
    private static func vectorStoreFailure(_ error: AerieError) -> FeastReply {
        let (status, type): (Int, JSONValue) =
            switch error.code {
            case .notFound where error.reason == "vector_store.unknown": (404, "not_found_error")
            case .invalidArgument, .notFound, .failedPrecondition: (422, "invalid_request_error")
            default: (error.httpStatus, error.httpStatus < 500 ? "invalid_request_error" : "server_error")
            }
        let body: JSONValue = ["error": ["message": .string(error.message), "type": type]]
        return json(body.utf8(), status: status)
    }
}

/// What a search has found, as OpenAI's clients read it: the best first.
private struct FoundRows {
    let answer: OnlineAnswer
    /// As the caller called them, in the order of the answer's first columns.
    let features: [String]
    let store: String
    let metric: VectorMetric

    var json: [JSONValue] {
        // Behind the features stand the distance and the keys.
        let distances = answer.columns[features.count].values
        let keys = answer.columns[(features.count + 1)...].sorted { $0.name < $1.name }
        return distances.indices.map { row in
            var attributes = JSONObject()
            var content: [JSONValue] = []
            for (place, name) in features.enumerated() {
                let value = answer.columns[place].values[row]
                attributes[name] = value.json
                if case .string(let text) = value { content.append(["type": "text", "text": .string(text)]) }
            }
            if content.isEmpty { content = [["type": "text", "text": .string(JSONValue.object(attributes).text())]] }
            let suffix = keys.isEmpty ? ["\(row)"] : keys.map { Self.text($0.values[row]) }
            return [
                "file_id": .string("\(store)_\(suffix.joined(separator: "_"))"), "filename": .string(store),
                "score": .double(score(distances[row])), "attributes": .object(attributes), "content": .array(content),
            ]
        }
    }

    private static func text(_ value: FeatureValue) -> String {
        if case .string(let text) = value { text } else { value.json.text() }
    }

    /// The greater, the better, as Feast turns distances: 1 / (1 + distance) for L2 and L1, the cosine, but not below
    /// 0, and the inner product.
    private func score(_ distance: FeatureValue) -> Double {
        let distance = distance.number ?? 0
        return switch metric {
        case .l2, .l1: 1 / (1 + distance)
        case .cosine: max(0, 1 - distance)
        case .innerProduct: -distance
        }
    }
}
