public import AerieCore
public import AerieJSON

/// A read of online features with every name resolved: which rows of which views, and where each value goes. Made once
/// for a selection, used by any number of requests.
public struct OnlinePlan: Sendable {
    struct Part: Sendable {
        var view: FeatureCatalog.View
        /// Places of the features in the view.
        var features: [Int]
    }

    struct Output: Sendable {
        var name: String
        var part: Int
        /// Place in the part's features.
        var place: Int
        /// Place in `computations`, for what is computed; `part` and `place` then mean nothing.
        var computation: Int?
    }

    let parts: [Part]
    let outputs: [Output]
    let computations: [PlannedComputation]
    /// The functions among them.
    let calls: [PlannedCall]

    /// The views that take part, in the order in which they are named first.
    public var viewNames: [String] { parts.map(\.view.definition.name) }

    /// The same as `feature_view_metadata` has them: a view once, with the version that is named first.
    public var viewVersions: [FeatureViewVersion] {
        var found: [FeatureViewVersion] = []
        for view in parts.map(\.view) {
            let name = String(view.definition.name.prefix { $0 != "@" })
            if found.contains(where: { $0.name == name }) { continue }
            found.append(FeatureViewVersion(name: name, version: view.version))
        }
        return found
    }

    /// What is declared to stand for a feature that cannot be read.
    func fallback(_ output: Output) -> FeatureValue {
        if output.computation != nil { return .null }
        let part = parts[output.part]
        return part.view.definition.features[part.features[output.place]].fallback ?? .null
    }

    init(_ selection: FeatureStore.Selection, in catalog: FeatureCatalog) throws(AerieError) {
        var references: [FeatureReference] = []
        if let service = selection.service {
            references = try catalog.service(service).references
        } else {
            for text in selection.references { references.append(try FeatureReference(checking: text)) }
        }
        guard !references.isEmpty else { throw .invalid("features", "No features specified for retrieval") }
        var parts: [Part] = []
        var outputs: [Output] = []
        var names: [String: FeatureReference] = [:]
        var computations: [PlannedComputation] = []
        var calls: [PlannedCall] = []
        /// Where a feature is read, which is added if it is not there.
        func source(_ view: FeatureCatalog.View, _ place: Int) -> (part: Int, place: Int) {
            let part = parts.firstIndex { $0.view.definition.name == view.definition.name } ?? parts.count
            if part == parts.count { parts.append(Part(view: view, features: [])) }
            if let known = parts[part].features.firstIndex(of: place) { return (part, known) }
            parts[part].features.append(place)
            return (part, parts[part].features.count - 1)
        }
        for reference in references {
            let view = try catalog.view(reference)
            guard let place = view.online.features.firstIndex(of: reference.feature) else {
                throw AerieError(
                    .invalidArgument, "Feature \(reference.feature) not found in feature view \(reference.view)",
                    reason: "feature.unknown")
            }
            let name = selection.usesFullNames ? "\(reference.outputView)__\(reference.feature)" : reference.feature
            if let other = names[name] {
                if other == reference { continue }
                throw AerieError(
                    .invalidArgument,
                    "Duplicate features named \(name) found: \(other) and \(reference). To resolve this collision, "
                        + "please use the full feature name by setting 'full_feature_names=True'",
                    reason: "feature.collision")
            }
            names[name] = reference
            guard let onDemand = view.onDemand, view.isComputedAtReads else {
                let (part, place) = source(view, place)
                outputs.append(Output(name: name, part: part, place: place))
                continue
            }
            var sources: [(part: Int, place: Int)] = []
            for input in onDemand.inputs {
                let from = try catalog.view(input.reference.view)
                sources.append(source(from, from.online.features.firstIndex(of: input.reference.feature) ?? 0))
            }
            outputs.append(Output(name: name, part: 0, place: 0, computation: computations.count))
            computations.append(
                PlannedComputation(
                    plan: onDemand, feature: place, sources: sources,
                    call: calls.add(view, onDemand, feature: place, sources, keysOf: parts)))
        }
        self.computations = computations
        self.calls = calls
        self.parts = parts
        self.outputs = outputs
    }
}

/// The columns of an answer.
public struct OnlineAnswer: Sendable {
    public enum Status: String, Sendable {
        case present = "PRESENT"
        case nullValue = "NULL_VALUE"
        case notFound = "NOT_FOUND"
        case outsideMaxAge = "OUTSIDE_MAX_AGE"
    }

    public struct Column: Sendable {
        public var name: String
        public var values: [FeatureValue]
        public var statuses: [Status]
        /// Microseconds since 1970; 0 where nothing was found.
        public var times: [Int64]
    }

    /// The keys that were asked with, then the features in the order asked for.
    public var columns: [Column]
    /// Why the store was not reached; the features are then their defaults, and not found.
    public var degraded: String?
}

extension FeatureStore {
    /// Reads features of entities.
    ///
    /// - Parameters:
    ///   - entities: columns by join key or entity name, all of one length. What no view needs is left out.
    ///   - isStrict: says `NULL_VALUE` and `OUTSIDE_MAX_AGE`; else a null is present and the age is not looked at, as
    ///     Feast's server has it.
    /// - Throws: `invalidArgument` for keys that are missing or of another type.
    public func read(
        _ plan: OnlinePlan, entities: [(name: String, values: [JSONValue])], isStrict: Bool = false
    ) async throws(AerieError) -> OnlineAnswer {
        let count = entities.first?.values.count ?? 0
        guard entities.allSatisfy({ $0.values.count == count }) else {
            throw .invalid("entities", "All entity rows must have the same columns.")
        }
        var keys: [FeatureCatalog.JoinKey: [FeatureValue]] = [:]
        var columns: [OnlineAnswer.Column] = []
        for part in plan.parts {
            for key in part.view.joinKeys where keys[key] == nil {
                let values = try Self.values(of: key, entities)
                keys[key] = values
                guard !columns.contains(where: { $0.name == key.name }) else { continue }
                columns.append(
                    .init(
                        name: key.name, values: values, statuses: Array(repeating: .present, count: count),
                        times: Array(repeating: 0, count: count)))
            }
        }
        var reads: [OnlineRead] = []
        for part in plan.parts {
            var names: [[UInt8]] = []
            names.reserveCapacity(count)
            let chosen = part.view.joinKeys.map { keys[$0] ?? [] }
            for row in 0..<count {
                names.append(
                    try part.view.entityKey.bytes(chosen.isEmpty ? [.string("")] : chosen.map { $0[row] }))
            }
            reads.append(OnlineRead(view: part.view.online, features: part.features, keys: names))
        }
        let request = try Self.requestColumns(plan, entities)
        let records: [[OnlineRecord?]]
        do throws(AerieError) { records = try await online.read(reads) } catch {
            guard error.code == .unavailable, error.reason?.hasPrefix("native.") != true else { throw error }
            counters.degrade()
            columns += plan.outputs.map { Self.column(standingFor: $0, in: plan, count: count) }
            return OnlineAnswer(columns: columns, degraded: error.message)
        }
        let now = clock.now().milliseconds * 1000
        let names = Dictionary(keys.map { ($0.key.name, $0.value) }) { first, _ in first }
        let results = try await results(plan, records, keys: names, request: request, rows: count, now: now)
        for output in plan.outputs {
            if let place = output.computation {
                columns.append(
                    Self.computed(
                        plan.computations[place], name: output.name, plan, records, request, results,
                        rows: count, isStrict: isStrict, now: now))
                continue
            }
            let limit = isStrict ? plan.parts[output.part].view.definition.timeToLive : nil
            columns.append(Self.column(output, records[output.part], isStrict: isStrict, limit: limit, now: now))
        }
        return OnlineAnswer(columns: columns)
    }

    private static func column(
        standingFor output: OnlinePlan.Output, in plan: OnlinePlan, count: Int
    ) -> OnlineAnswer.Column {
        OnlineAnswer.Column(
            name: output.name, values: Array(repeating: plan.fallback(output), count: count),
            statuses: Array(repeating: .notFound, count: count), times: Array(repeating: 0, count: count))
    }

    static func column(
        _ output: OnlinePlan.Output, _ records: [OnlineRecord?], isStrict: Bool, limit: Int64?, now: Int64
    ) -> OnlineAnswer.Column {
        var column = OnlineAnswer.Column(name: output.name, values: [], statuses: [], times: [])
        column.values.reserveCapacity(records.count)
        column.statuses.reserveCapacity(records.count)
        column.times.reserveCapacity(records.count)
        for record in records {
            guard let record else {
                column.values.append(.null)
                column.statuses.append(.notFound)
                column.times.append(0)
                continue
            }
            let value = record.values[output.place]
            let isOld = limit.map { now - record.time > $0 } ?? false
            column.values.append(isOld ? .null : value)
            column.statuses.append(isOld ? .outsideMaxAge : isStrict && value.isNull ? .nullValue : .present)
            column.times.append(record.time)
        }
        return column
    }

    private static func values(
        of key: FeatureCatalog.JoinKey, _ entities: [(name: String, values: [JSONValue])]
    ) throws(AerieError) -> [FeatureValue] {
        guard
            let column = entities.first(where: { $0.name == key.name })
                ?? entities.first(where: { $0.name == key.entity })
        else {
            throw .invalid(
                "",
                "Missing join key values for keys: ['\(key.name)']. No values were provided for keys: "
                    + "['\(key.name)']. Please provide join_key_values for: ['\(key.name)']")
        }
        var values: [FeatureValue] = []
        values.reserveCapacity(column.values.count)
        for (row, value) in column.values.enumerated() {
            let field = "entities.\(column.name)[\(row)]"
            let key = try key.value(value, field: field)
            guard !key.isNull else { throw .invalid(field, "a key must not be null") }
            values.append(key)
        }
        return values
    }
}
