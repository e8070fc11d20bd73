public import AerieCore

/// A question for the rows of a view whose vectors are nearest to one.
public struct VectorSearch: Sendable {
    /// Features of one view, besides which the answer has their distance.
    public var selection: FeatureStore.Selection
    public var vector: [Double]
    /// How many rows.
    public var limit: Int
    /// What is measured where the view does not say it; `nil` for `l2`.
    public var metric: VectorMetric?
    /// Which rows count; `nil` for all.
    public var filter: RowFilter?

    public init(
        selection: FeatureStore.Selection, vector: [Double], limit: Int, metric: VectorMetric? = nil,
        filter: RowFilter? = nil
    ) {
        self.selection = selection
        self.vector = vector
        self.limit = limit
        self.metric = metric
        self.filter = filter
    }

    /// The most rows that one question is answered with.
    public static let rowLimit = 1000

    /// The answer's column with the distances.
    public static let distanceColumn = "distance"
}

extension FeatureStore {
    /// Finds the rows whose vectors are nearest, the nearest first.
    ///
    /// Exact: each row of the view in the online store is compared, so that the time grows with their number and the
    /// length of their vectors; the memory with the rows that are asked for alone. Rows that are written meanwhile are
    /// compared before or after. Rows without a vector, and those whose vector has another length, are not found.
    /// - Returns: the features in the order asked for, the column `distance`, and the keys in the order of the view's
    ///   entities.
    /// - Throws: `invalidArgument` for a view without vectors, a vector of another length than all that are kept, and a
    ///   limit that is not from 1 to `VectorSearch.rowLimit`; `unavailable` if the store cannot be reached.
    public func nearest(_ search: VectorSearch, namespace: String = "default") async throws(AerieError) -> OnlineAnswer {
        guard (1...VectorSearch.rowLimit).contains(search.limit) else {
            throw .invalid("top_k", "\(search.limit) is not from 1 to \(VectorSearch.rowLimit)")
        }
        let plan = try await searchPlan(search.selection, namespace: namespace)
        let view = plan.parts[0].view
        let (place, index) = try view.vectorIndex()
        let query = try Self.vector(search, index, in: view)
        var typed = view.definition.features.map { (name: $0.name, type: FeatureType?.some($0.type)) }
        typed += view.joinKeys.map { ($0.name, $0.type) }
        let filter = try ResolvedFilter(search.filter, typed)
        let rows = try await nearestRows(query, limit: search.limit, in: view, feature: place, filter: filter)
        let read = OnlineRead(view: view.online, features: plan.parts[0].features, keys: rows.map(\.key))
        let records = try await online.read([read])[0]
        // A row may have been taken out since it was compared.
        let found = zip(rows, records).filter { $0.1 != nil }
        return Self.answer(plan, view, rows: found.map(\.0), records: found.map(\.1))
    }

    /// A plan of one view, whose features are kept.
    private func searchPlan(_ selection: Selection, namespace: String) async throws(AerieError) -> OnlinePlan {
        let plan = try await plan(selection, namespace: namespace)
        guard plan.parts.count == 1, plan.computations.isEmpty else {
            throw .invalid(
                "features",
                "Document retrieval only supports a single feature view. Its features must be kept online, and not be "
                    + "computed when they are read")
        }
        let names = plan.outputs.map(\.name) + plan.parts[0].view.joinKeys.map(\.name)
        if names.contains(VectorSearch.distanceColumn) {
            throw AerieError(
                .invalidArgument,
                "a feature or key is called '\(VectorSearch.distanceColumn)', as the column of the distances is; leave the "
                    + "feature out, or set full_feature_names=True",
                reason: "feature.collision")
        }
        return plan
    }

    private static func vector(
        _ search: VectorSearch, _ index: VectorIndex, in view: FeatureCatalog.View
    ) throws(AerieError) -> ComparedVector {
        let count = search.vector.count
        guard (1...VectorIndex.lengthLimit).contains(count) else {
            throw .invalid("query", "has \(count) numbers; a vector has from 1 to \(VectorIndex.lengthLimit)")
        }
        if let length = index.length, count != length {
            throw .invalid("query", "has \(count) numbers; the vectors of '\(view.definition.name)' have \(length)")
        }
        let numbers = search.vector.map { Float($0) }
        guard numbers.allSatisfy(\.isFinite) else { throw .invalid("query", "must be of finite 32-bit numbers") }
        return ComparedVector(numbers, metric: index.metric ?? search.metric ?? .l2)
    }

    private func nearestRows(
        _ query: ComparedVector, limit: Int, in view: FeatureCatalog.View, feature: Int, filter: ResolvedFilter
    ) async throws(AerieError) -> [NearestRows.Row] {
        var nearest = NearestRows(limit: limit)
        var reading = VectorReading()
        var otherLength: Int?
        let columns = FilteredColumns(filter, in: view.online)
        try await online.scan(view.online, features: [feature] + columns.features) { row throws(AerieError) in
            guard try columns.isMet(filter, row, from: 1) else { return }
            _ = try reading.withNumbers(protobuf: row.values[0]) { numbers in
                let count = numbers.count / MemoryLayout<Float>.size
                if count == query.count {
                    nearest.offer(query.distance(to: numbers), row.key)
                } else if count > 0 {
                    otherLength = count
                }
            }
        }
        if nearest.rows.isEmpty, let otherLength {
            throw .invalid(
                "query", "has \(query.count) numbers; the vectors of '\(view.definition.name)' have \(otherLength)")
        }
        return nearest.rows
    }

    private static func answer(
        _ plan: OnlinePlan, _ view: FeatureCatalog.View, rows: [NearestRows.Row], records: [OnlineRecord?]
    ) -> OnlineAnswer {
        var columns = plan.outputs.map { Self.column($0, records, isStrict: false, limit: nil, now: 0) }
        let present = Array(repeating: OnlineAnswer.Status.present, count: rows.count)
        columns.append(
            .init(
                name: VectorSearch.distanceColumn, values: rows.map { .float($0.distance) }, statuses: present,
                times: records.map { $0?.time ?? 0 }))
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

/// Where the columns of a filter stand: the features in what a scan shows, the keys in the entity's key.
private struct FilteredColumns {
    /// Places of the features in the view.
    private(set) var features: [Int] = []
    private var places: [(feature: Int?, key: String)] = []

    init(_ filter: ResolvedFilter, in view: OnlineView) {
        for column in filter.columns {
            let feature = view.features.firstIndex(of: column.name)
            places.append((feature.map { _ in features.count }, column.name))
            if let feature { features.append(feature) }
        }
    }

    /// - Parameter first: the place in the row's values at which the features begin.
    func isMet(_ filter: ResolvedFilter, _ row: ScannedRow, from first: Int) throws(AerieError) -> Bool {
        if places.isEmpty { return filter.isMet([]) }
        var values: [FeatureValue] = []
        values.reserveCapacity(places.count)
        var keys: [(name: String, value: FeatureValue)]?
        for (feature, key) in places {
            if let feature {
                values.append(try FeatureValue(protobuf: row.values[first + feature]))
                continue
            }
            let known = keys ?? EntityKey.parse(row.key)?.values ?? []
            keys = known
            values.append(known.first { $0.name == key }?.value ?? .null)
        }
        return filter.isMet(values)
    }
}
