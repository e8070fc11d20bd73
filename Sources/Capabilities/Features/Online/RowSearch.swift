public import AerieCore

/// A question for the rows of a view whose vectors are nearest to one, or whose texts match words best, or both.
public struct RowSearch: Sendable {
    /// Features of one view, besides which the answer has their distance.
    public var selection: FeatureStore.Selection
    /// `nil` where words alone are searched for.
    public var vector: [Double]?
    /// All of which a row must have; `OR` stands between alternatives. `nil` where a vector alone is searched for.
    public var words: String?
    /// How many rows.
    public var limit: Int
    /// What is measured where the view does not say it; `nil` for `l2`.
    public var metric: VectorMetric?
    /// Which rows count; `nil` for all.
    public var filter: RowFilter?

    public init(
        selection: FeatureStore.Selection, vector: [Double]? = nil, words: String? = nil, limit: Int,
        metric: VectorMetric? = nil, filter: RowFilter? = nil
    ) {
        self.selection = selection
        self.vector = vector
        self.words = words
        self.limit = limit
        self.metric = metric
        self.filter = filter
    }

    /// The most rows that one question is answered with.
    public static let rowLimit = 1000

    /// The answer's column with the distances: the less, the better.
    public static let distanceColumn = "distance"
    /// The answer's column that says how well the words match, where there are any: the more, the better.
    public static let textRankColumn = "text_rank"

    public static let measureColumns = [distanceColumn, textRankColumn]

    /// The columns that the answer has between features and keys. Neither is called like them.
    public var measures: [String] { words == nil ? [Self.distanceColumn] : Self.measureColumns }
}

extension FeatureStore {
    /// Finds the rows that a search is for, the best first.
    ///
    /// By a vector: the nearest, where rows without a vector, and those whose vector has another length, are not found.
    /// By words: the rows that have them in their texts (features of type `STRING`), by `WordRanking`. By both: those
    /// that have the words come first, by that rank, of equal rank the nearer first; then the nearest of the others.
    ///
    /// Exact: each row of the view in the online store is compared, twice where words are searched for, so that the
    /// time grows with their number and the length of their vectors and texts; the memory with the rows that are asked
    /// for alone. Rows that are written meanwhile are compared before or after. Ends when its task is cancelled.
    /// - Returns: the features in the order asked for, the column `distance`, with words the column `text_rank`, and
    ///   the keys in the order of the view's entities. Where words alone are searched for, the distance is the negative
    ///   of the rank; where a row has no vector that is compared, it is null.
    /// - Throws: `invalidArgument` for a search for nothing, a view without vectors or texts, a vector of another
    ///   length than all that are kept, words that `WordRanking` does not take, and a limit that is not from 1 to
    ///   `RowSearch.rowLimit`; `unavailable` if the store cannot be reached.
    public func search(_ search: RowSearch, namespace: String = "default") async throws(AerieError) -> OnlineAnswer {
        guard (1...RowSearch.rowLimit).contains(search.limit) else {
            throw .invalid("top_k", "\(search.limit) is not from 1 to \(RowSearch.rowLimit)")
        }
        let plan = try await searchPlan(search, namespace: namespace)
        let view = plan.parts[0].view
        let rows = try await bestRows(try RowComparison(search, view), limit: search.limit, in: view)
        let read = OnlineRead(view: view.online, features: plan.parts[0].features, keys: rows.map(\.key))
        let records = try await online.read([read])[0]
        // A row may have been taken out since it was compared.
        let found = zip(rows, records).filter { $0.1 != nil }
        return Self.answer(plan, view, search, rows: found.map(\.0), records: found.map(\.1))
    }

    /// A plan of one view, whose features are kept.
    private func searchPlan(_ search: RowSearch, namespace: String) async throws(AerieError) -> OnlinePlan {
        let plan = try await plan(search.selection, namespace: namespace)
        guard plan.parts.count == 1, plan.computations.isEmpty else {
            throw .invalid(
                "features",
                "Document retrieval only supports a single feature view. Its features must be kept online, and not be "
                    + "computed when they are read")
        }
        let names = plan.outputs.map(\.name) + plan.parts[0].view.joinKeys.map(\.name)
        if let name = search.measures.first(where: names.contains) {
            throw AerieError(
                .invalidArgument,
                "a feature or key is called '\(name)', as a column of the answer is; leave the feature out, or set "
                    + "full_feature_names=True",
                reason: "feature.collision")
        }
        return plan
    }

    private func bestRows(
        _ comparison: RowComparison, limit: Int, in view: FeatureCatalog.View
    ) async throws(AerieError) -> [NearestRows.Row] {
        var comparison = comparison
        if !comparison.texts.isEmpty {
            try await online.scan(view.online, features: comparison.texts) { row throws(AerieError) in
                try comparison.count(row)
            }
        }
        var nearest = NearestRows(limit: limit)
        try await online.scan(view.online, features: comparison.features) { row throws(AerieError) in
            guard let found = try comparison.compare(row) else { return }
            nearest.offer(textRank: found.textRank, found.distance, row.key)
        }
        if nearest.rows.isEmpty { try comparison.explainNothing() }
        return nearest.rows
    }

    private static func answer(
        _ plan: OnlinePlan, _ view: FeatureCatalog.View, _ search: RowSearch, rows: [NearestRows.Row],
        records: [OnlineRecord?]
    ) -> OnlineAnswer {
        var columns = plan.outputs.map { Self.column($0, records, isStrict: false, limit: nil, now: 0) }
        let present = Array(repeating: OnlineAnswer.Status.present, count: rows.count)
        let measures = rows.map { row -> [FeatureValue] in
            let distance: Float = search.vector == nil ? -row.textRank : row.distance
            return [distance.isFinite ? .float(distance) : .null, .float(row.textRank)]
        }
        for (place, name) in search.measures.enumerated() {
            columns.append(
                .init(
                    name: name, values: measures.map { $0[place] }, statuses: present,
                    times: records.map { $0?.time ?? 0 }))
        }
        let parsed = rows.map { row in row.key.withUnsafeBytes { EntityKey.parse($0)?.values ?? [] } }
        // The bytes of a key have its values in the order of `joinKeys`, also where an alias calls these otherwise.
        let entities = view.definition.entities
        func rank(_ place: Int) -> Int {
            entities.firstIndex(of: view.joinKeys[place].entity) ?? entities.count + place
        }
        for place in view.joinKeys.indices.sorted(by: { rank($0) < rank($1) }) {
            let key = view.joinKeys[place]
            columns.append(
                .init(
                    name: key.name, values: parsed.map { place < $0.count ? $0[place].value : .null },
                    statuses: present, times: Array(repeating: 0, count: rows.count)))
        }
        return OnlineAnswer(columns: columns)
    }
}

extension FeatureCatalog {
    /// The views whose rows can be found by vectors, in the order of their names.
    public var vectorViews: [View] {
        views.values
            .filter { view in !view.isComputedAtReads && view.definition.features.contains { $0.vectorIndex != nil } }
            .sorted { $0.definition.name < $1.definition.name }
    }
}

extension FeatureCatalog.View {
    /// The feature that the view's rows are found by, its place and what is declared of it.
    /// - Throws: `invalidArgument` if there is none.
    public func vectorIndex() throws(AerieError) -> (place: Int, index: VectorIndex) {
        for (place, feature) in definition.features.enumerated() {
            if let index = feature.vectorIndex { return (place, index) }
        }
        throw .invalid(
            "features", "feature view '\(definition.name)' has no feature with a vector index (vector_index=True, or "
                + "vectorIndex: true), by which rows are found")
    }
}
