import AerieCore
public import Features
public import Serving

extension VectorLookups: FeatureLane {}

/// The lanes of one event loop, which share its reader.
final class ServingLanes: FeatureLanes {
    private let reader: any OnlineReader
    /// Whether the store is in this process.
    private let isImmediate: Bool
    /// Lookups that wait for the next read of a service.
    private var spare: [ObjectIdentifier: Spare] = [:]

    private struct Spare {
        let service: ServiceLookup
        var lookups: [VectorLookups] = []
    }

    /// Services whose lookups are kept; those of definitions that have changed are among them.
    private static let serviceLimit = 64
    private static let spareLimit = 256

    init(_ reader: any OnlineReader, isImmediate: Bool) {
        self.reader = reader
        self.isImmediate = isImmediate
    }

    func lane(_ lookup: any FeatureLookup) -> (any FeatureLane)? {
        isImmediate ? (lookup as? ServiceLookup)?.vectors.lookups(reader) : nil
    }

    func read(
        _ rows: EntityRows, of lookup: any FeatureLookup,
        completion: @escaping (Result<FetchedFeatures, AerieError>) -> Void
    ) -> Bool {
        guard let service = lookup as? ServiceLookup, let lookups = take(service) else { return false }
        guard Self.name(rows, in: lookups) else {
            keep(lookups, of: service)
            return false
        }
        let start = monotonicNanoseconds()
        lookups.read { [self] in
            let result: Result<FetchedFeatures, AerieError>
            if let failure = lookups.failure {
                result = .failure(failure)
            } else {
                let end = monotonicNanoseconds()
                var columns = lookups.columns
                if rows.timesViews { columns.reads = lookups.viewNames.map { ($0, start, end) } }
                result = .success(FetchedFeatures(columns))
            }
            keep(lookups, of: service)
            completion(result)
        }
        return true
    }

    /// - Returns: false for keys that only the general way takes, or says what is wrong with.
    private static func name(_ rows: EntityRows, in lookups: VectorLookups) -> Bool {
        lookups.begin()
        for (place, column) in rows.keys.enumerated() {
            switch column {
            case .integers(let numbers):
                for number in numbers { guard lookups.append(number, key: place) else { return false } }
            case .texts(let texts):
                for var text in texts {
                    let isTaken = text.withUTF8 { lookups.append(UnsafeRawBufferPointer($0), key: place) }
                    guard isTaken else { return false }
                }
            case .numbers: return false
            }
        }
        return lookups.end() == rows.count
    }

    private func take(_ service: ServiceLookup) -> VectorLookups? {
        spare[ObjectIdentifier(service)]?.lookups.popLast() ?? service.vectors.lookups(reader)
    }

    private func keep(_ lookups: VectorLookups, of service: ServiceLookup) {
        let name = ObjectIdentifier(service)
        if spare[name] == nil, spare.count >= Self.serviceLimit { spare.removeAll() }
        var kept = spare[name] ?? Spare(service: service)
        spare[name] = nil
        if kept.lookups.count < Self.spareLimit { kept.lookups.append(lookups) }
        spare[name] = kept
    }
}
