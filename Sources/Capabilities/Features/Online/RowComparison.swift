import AerieCore

/// What each row of a view is compared with, with the places of the features that are read for it.
struct RowComparison {
    private let view: FeatureCatalog.View
    private let vector: ComparedVector?
    private var words: WordRanking?
    private let filter: ResolvedFilter
    private let filtered: FilteredColumns
    /// Places in the view of the vector, where one is compared, of the texts, and of what is filtered by.
    let features: [Int]
    /// Places in the view of the texts that words are looked for in; none where none are.
    let texts: [Int]
    private var reading = VectorReading()
    /// Of a vector that was not compared.
    private var otherLength: Int?

    /// - Throws: as `FeatureStore.search`.
    init(_ search: RowSearch, _ view: FeatureCatalog.View) throws(AerieError) {
        guard search.vector != nil || search.words != nil else {
            throw .invalid("query", "must be a vector, as a list of numbers, or query_string must hold words")
        }
        self.view = view
        var features: [Int] = []
        var compared: ComparedVector?
        if let vector = search.vector {
            let (place, index) = try view.vectorIndex()
            compared = try Self.compared(vector, search.metric, index, in: view)
            features.append(place)
        }
        vector = compared
        var texts: [Int] = []
        if let question = search.words {
            words = try WordRanking(question)
            texts = view.definition.features.indices.filter { view.definition.features[$0].type == .string }
            guard !texts.isEmpty else {
                throw .invalid(
                    "query_string", "feature view '\(view.definition.name)' has no feature of type STRING to find words in")
            }
        }
        self.texts = texts
        var typed = view.definition.features.map { (name: $0.name, type: FeatureType?.some($0.type)) }
        typed += view.joinKeys.map { ($0.name, $0.type) }
        filter = try ResolvedFilter(search.filter, typed)
        filtered = FilteredColumns(filter, in: view.online)
        self.features = features + texts + filtered.features
    }

    private static func compared(
        _ vector: [Double], _ metric: VectorMetric?, _ index: VectorIndex, in view: FeatureCatalog.View
    ) throws(AerieError) -> ComparedVector {
        guard (1...VectorIndex.lengthLimit).contains(vector.count) else {
            throw .invalid("query", "has \(vector.count) numbers; a vector has from 1 to \(VectorIndex.lengthLimit)")
        }
        if let length = index.length, vector.count != length { throw otherLength(vector.count, length, view) }
        let numbers = vector.map { Float($0) }
        guard numbers.allSatisfy(\.isFinite) else { throw .invalid("query", "must be of finite 32-bit numbers") }
        return ComparedVector(numbers, metric: index.metric ?? metric ?? .l2)
    }

    private static func otherLength(_ count: Int, _ length: Int, _ view: FeatureCatalog.View) -> AerieError {
        .invalid("query", "has \(count) numbers; the vectors of '\(view.definition.name)' have \(length)")
    }

    /// Takes a row into account that words are ranked among. All rows are counted before one is compared.
    /// - Parameter row: with the values of `texts`.
    mutating func count(_ row: ScannedRow) throws(AerieError) { try words?.count(row.values[...]) }

    /// - Parameter row: with the values of `features`.
    /// - Returns: how well the row matches, as `NearestRows` takes it; `nil` if it is not found.
    mutating func compare(_ row: ScannedRow) throws(AerieError) -> (textRank: Float, distance: Float)? {
        let firstText = vector == nil ? 0 : 1
        let firstFiltered = firstText + texts.count
        guard try filtered.isMet(filter, row, from: firstFiltered) else { return nil }
        let rank = try words?.rank(row.values[firstText..<firstFiltered]).map { Float($0) }
        guard let vector else { return rank.map { ($0, 0) } }
        let distance = try distance(vector, row.values[0])
        guard rank != nil || distance != nil else { return nil }
        return (rank ?? 0, distance ?? .infinity)
    }

    private mutating func distance(
        _ vector: ComparedVector, _ bytes: UnsafeRawBufferPointer
    ) throws(AerieError) -> Float? {
        var other: Int?
        let distance = try reading.withNumbers(protobuf: bytes) { numbers -> Float? in
            let count = numbers.count / MemoryLayout<Float>.size
            if count == vector.count { return vector.distance(to: numbers) }
            other = count
            return nil
        }
        if let other, other > 0 { otherLength = other }
        return distance ?? nil
    }

    /// Says why no row was found, where it is the asker's mistake.
    func explainNothing() throws(AerieError) {
        if let vector, let otherLength { throw Self.otherLength(vector.count, otherLength, view) }
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
