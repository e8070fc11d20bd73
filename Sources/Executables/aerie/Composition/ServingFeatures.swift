import AerieCore
import Features
import Serving

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
    private let vectors: FeatureVectors
    let keys: [FeatureKey]
    let fingerprint: String
    var service: String { vectors.service }
    var features: [String] { vectors.names }

    init(_ vectors: FeatureVectors) {
        self.vectors = vectors
        keys = vectors.keys.map { FeatureKey(name: $0.name, entity: $0.entity) }
        fingerprint = vectors.fingerprint
    }

    func readNow(_ rows: EntityRows) throws(AerieError) -> FetchedFeatures? {
        try vectors.readNow(try entities(rows), rows: rows.count, timed: rows.timesViews).map(fetched)
    }

    func read(_ rows: EntityRows) async throws(AerieError) -> FetchedFeatures {
        fetched(try await vectors.read(try entities(rows), rows: rows.count, timed: rows.timesViews))
    }

    func defaults(rows: Int) -> FetchedFeatures { fetched(vectors.defaults(rows: rows)) }

    private func fetched(_ columns: FeatureVectors.Columns) -> FetchedFeatures {
        FetchedFeatures(
            columns: columns.values, missing: columns.missing, stale: columns.stale,
            views: columns.reads.map { .init(view: $0.view, start: $0.start, end: $0.end) })
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
            case (.integers, let type?), (.texts, let type?):
                throw .invalid(
                    "inputs.\(key.name)",
                    "the entity's key is \(type.rawValue); send BYTES for a text and INT64 for a whole number")
            }
        }
        return entities
    }
}
