import AerieCore
public import Features
public import Serving

/// Serving's port for features, filled by the feature store of this process.
struct ServingFeatures: FeatureReader {
    let store: FeatureStore

    func lookup(service: String, namespace: String) async throws(AerieError) -> any FeatureLookup {
        let parts = service.split(separator: "/", maxSplits: 1).map(String.init)
        let vectors =
            try await parts.count == 2
            ? store.vectors(service: parts[1], namespace: parts[0])
            : store.vectors(service: service, namespace: namespace)
        return ServiceLookup(vectors)
    }
}

final class ServiceLookup: FeatureLookup {
    let vectors: FeatureVectors
    let keys: [FeatureKey]
    let fingerprint: String
    var service: String { vectors.service }
    var features: [String] { vectors.names }
    var requestColumns: [String] { vectors.request.map(\.name) }

    init(_ vectors: FeatureVectors) {
        self.vectors = vectors
        keys = vectors.keys.map { FeatureKey(name: $0.name, entity: $0.entity) }
        fingerprint = vectors.fingerprint
    }

    func readNow(_ rows: EntityRows) throws(AerieError) -> FetchedFeatures? {
        try vectors.readNow(
            try entities(rows), request: try request(rows), rows: rows.count, timed: rows.timesViews
        ).map(FetchedFeatures.init)
    }

    func read(_ rows: EntityRows) async throws(AerieError) -> FetchedFeatures {
        FetchedFeatures(
            try await vectors.read(
                try entities(rows), request: try request(rows), rows: rows.count, timed: rows.timesViews))
    }

    func defaults(_ rows: EntityRows) -> FetchedFeatures {
        // A column of the wrong type is told by the read; where that was not waited for, the column counts as null.
        FetchedFeatures(vectors.defaults(request: (try? request(rows)) ?? [], rows: rows.count))
    }

    /// Keys as the entities declare them.
    private func entities(_ rows: EntityRows) throws(AerieError) -> [[FeatureValue]] {
        var entities: [[FeatureValue]] = []
        for (key, column) in zip(vectors.keys, rows.keys) {
            switch (column, key.type) {
            case (.integers(let numbers), .int64), (.integers(let numbers), nil):
                entities.append(numbers.map(FeatureValue.int64))
            case (.integers(let numbers), .timestamp): entities.append(numbers.map(FeatureValue.timestamp))
            case (.integers(let numbers), .int32):
                let narrow = numbers.compactMap { Int32(exactly: $0) }
                guard narrow.count == numbers.count else {
                    throw .invalid("inputs.\(key.name)", "a key does not fit INT32, the type of the entity's key")
                }
                entities.append(narrow.map(FeatureValue.int32))
            case (.texts(let texts), .string), (.texts(let texts), nil):
                entities.append(texts.map(FeatureValue.string))
            case (.integers, let type?), (.texts, let type?), (.numbers, let type?):
                throw .invalid(
                    "inputs.\(key.name)",
                    "the entity's key is \(type.rawValue); send BYTES for a text and INT64 for a whole number")
            case (.numbers, nil): throw .invalid("inputs.\(key.name)", "a number with a point names no entity")
            }
        }
        return entities
    }

    /// What the request brings along, as the views on demand declare it. What is no number there is null.
    private func request(_ rows: EntityRows) throws(AerieError) -> [[FeatureValue]] {
        var columns: [[FeatureValue]] = []
        for (declared, column) in zip(vectors.request, rows.request) {
            func values<Value>(_ list: [Value], _ make: (Value) -> FeatureValue?) throws(AerieError) -> [FeatureValue] {
                let made = list.compactMap(make)
                guard made.count == list.count else {
                    throw .invalid("inputs.\(declared.name)", "a value does not fit \(declared.type.rawValue)")
                }
                return made
            }
            switch (column, declared.type) {
            case (.texts(let texts), .string): columns.append(texts.map(FeatureValue.string))
            case (.numbers(let numbers), .double): columns.append(numbers.map { $0.isNaN ? .null : .double($0) })
            case (.numbers(let numbers), .float): columns.append(numbers.map { $0.isNaN ? .null : .float(Float($0)) })
            case (.integers(let numbers), .double): columns.append(numbers.map { .double(Double($0)) })
            case (.integers(let numbers), .float): columns.append(numbers.map { .float(Float($0)) })
            case (.integers(let numbers), .int64): columns.append(numbers.map(FeatureValue.int64))
            case (.integers(let numbers), .timestamp): columns.append(numbers.map(FeatureValue.timestamp))
            case (.integers(let numbers), .int32):
                columns.append(try values(numbers) { Int32(exactly: $0).map(FeatureValue.int32) })
            case (.integers(let numbers), .bool):
                columns.append(try values(numbers) { (0...1).contains($0) ? .bool($0 == 1) : nil })
            case (.numbers(let numbers), .int64):
                columns.append(try values(numbers) { Int64(exactly: $0).map(FeatureValue.int64) })
            case (.numbers(let numbers), .int32):
                columns.append(try values(numbers) { Int32(exactly: $0).map(FeatureValue.int32) })
            default:
                throw .invalid(
                    "inputs.\(declared.name)", "features are computed of it as \(declared.type.rawValue), which it is not")
            }
        }
        return columns
    }
}

extension FetchedFeatures {
    init(_ columns: FeatureVectors.Columns) {
        self.init(
            columns: columns.values, missing: columns.missing, stale: columns.stale,
            views: columns.reads.map { .init(view: $0.view, start: $0.start, end: $0.end) })
    }
}
