public import AerieCore
public import AerieJSON

extension FeatureStore {
    /// Writes rows of a push source into the online store of every view that takes them, or keeps them for reading
    /// offline, or both; offline first. For a view with windows they are events.
    /// - Returns: what quality suites say of the rows, those that were written and those in quarantine, by view.
    /// - Throws: `notFound` for an unknown source; `invalidArgument` for columns that are missing or do not fit, before
    ///   anything is written.
    public func push(
        source: String, columns: [(name: String, values: [JSONValue])], to target: PushTarget = .online,
        namespace: String = "default"
    ) async throws(AerieError) -> [String] {
        try await write(columns, to: try await catalog(namespace).pushTargets(source), target)
    }

    /// The same for one view by its name.
    /// - Parameter computes: for a view that is computed of others, whether the rows are its inputs, and not yet its
    ///   features.
    public func write(
        view: String, columns: [(name: String, values: [JSONValue])], computes: Bool = true,
        namespace: String = "default"
    ) async throws(AerieError) -> [String] {
        let catalog = try await catalog(namespace)
        do throws(AerieError) {
            return try await write(columns, to: [try catalog.view(view)], computes: computes)
        } catch { throw await explained(error, namespace: namespace) }
    }

    /// Writes rows into each of the views; all of them, or after `invalidArgument` none.
    func write(
        _ given: [(name: String, values: [JSONValue])], to views: [FeatureCatalog.View],
        _ target: PushTarget = .online, computes: Bool = true
    ) async throws(AerieError) -> [String] {
        for view in views where view.onDemand != nil {
            let name = view.definition.name
            if view.isComputedAtReads {
                throw .invalid("feature_view_name", "feature view '\(name)' is computed at each read")
            }
            if target != .online {
                throw .invalid("to", "feature view '\(name)' is computed of others in training data; push online")
            }
        }
        let streamed = views.filter { $0.online.windows != nil }
        if target != .online, let view = streamed.first {
            throw .invalid(
                "to", "feature view '\(view.definition.name)' has windows, whose events are not kept for reading offline")
        }
        var batches: [Batch] = []
        var notes: [String] = []
        for view in views where view.online.windows == nil {
            let columns = try await computed(given, of: view, computes: computes)
            var rows = try rows(columns, of: view)
            if target == .both {
                // Offline a feature without a column is null; online it is the same.
                for place in rows.indices { rows[place].values = rows[place].values.map { $0 ?? .null } }
            }
            let (places, found) = try await passQuality(rows, columns, view)
            notes += found.map { "\(view.definition.name): \($0)" }
            batches.append(
                Batch(
                    view: view, rows: places.map { $0.map { rows[$0] } } ?? rows,
                    columns: Self.select(places, of: columns)))
        }
        for view in streamed { _ = try streams().events(given, of: view) }
        if target != .online {
            for batch in batches { try await keep(batch.columns, rows: batch.rows, of: batch.view) }
        }
        guard target != .offline else { return notes }
        for batch in batches { try await put(batch.rows, of: batch.view) }
        for view in streamed { _ = try await streams().push(given, to: view) }
        return notes
    }

    /// What of a push goes to one view.
    private struct Batch {
        var view: FeatureCatalog.View
        var rows: [OnlineRow]
        var columns: [(name: String, values: [JSONValue])]
    }

    /// Writes rows online and counts them.
    private func put(_ rows: [OnlineRow], of view: FeatureCatalog.View) async throws(AerieError) {
        guard let newest = rows.lazy.map(\.time).max() else { return }
        let count = try await online.write(view.online, rows)
        counters.wrote(count, of: view)
        // A row of tomorrow makes no view fresher than it is now.
        counters.saw(min(newest, clock.now().milliseconds * 1000), of: view)
    }

    /// What takes the rows of a view's stream: as a push of them would, quality suite included.
    func rowWriter(_ view: FeatureCatalog.View) -> RowWriter {
        var writer = RowWriter { [self] columns throws(AerieError) in
            let rows = try rows(columns, of: view)
            let places = try await passQuality(rows, columns, view).places
            try await put(places.map { $0.map { rows[$0] } } ?? rows, of: view)
            return places
        }
        if access.pushed != nil, view.definition.stream?.keepsRows == true {
            writer.keep = { [self] columns throws(AerieError) in
                try await keep(columns, rows: try rows(columns, of: view), of: view)
            }
        }
        return writer
    }

    /// The columns with those rows only; `nil` for all.
    private static func select(
        _ places: [Int]?, of columns: [(name: String, values: [JSONValue])]
    ) -> [(name: String, values: [JSONValue])] {
        guard let places else { return columns }
        return columns.map { column in (column.name, places.map { column.values[$0] }) }
    }

    /// Rows out of columns. The time stands in the view's timestamp field; `created` is looked for under the view's own
    /// name of it. Features without a column keep the value they have.
    /// - Throws: `invalidArgument` for what is missing or does not fit, and for a time too far ahead of the clock.
    func rows(
        _ columns: [(name: String, values: [JSONValue])], of view: FeatureCatalog.View
    ) throws(AerieError) -> [OnlineRow] {
        let count = columns.first?.values.count ?? 0
        for column in columns where column.values.count != count {
            throw .invalid("df.\(column.name)", "has \(column.values.count) values, the first column has \(count)")
        }
        func column(_ name: String) -> (name: String, values: [JSONValue])? {
            let original = view.definition.fieldMapping.first { $0.value == name }?.key
            return columns.first { $0.name == name } ?? columns.first { $0.name == original }
        }
        let timeName = view.definition.timestampField ?? "event_timestamp"
        guard let times = column(timeName) else {
            throw .invalid("df.\(timeName)", "is missing: it says when each row's values were true")
        }
        let created = view.definition.createdTimestampColumn.flatMap { column($0) }
        var keys: [(FeatureCatalog.JoinKey, (name: String, values: [JSONValue]))] = []
        for key in view.joinKeys {
            guard let found = column(key.name) else { throw .invalid("df.\(key.name)", "is missing: it is a join key") }
            keys.append((key, found))
        }
        let features = view.definition.features.map { ($0, column($0.name)) }
        guard features.contains(where: { $0.1 != nil }) else {
            throw .invalid("df", "has none of the features of view '\(view.definition.name)'")
        }
        var rows: [OnlineRow] = []
        rows.reserveCapacity(count)
        let now = clock.now().milliseconds * 1000
        for row in 0..<count {
            var key: [FeatureValue] = []
            for (declared, column) in keys {
                let field = "df.\(column.name)[\(row)]"
                let value = try declared.value(column.values[row], field: field)
                if value == .null { throw .invalid(field, "a key must not be null") }
                key.append(value)
            }
            var values: [FeatureValue?] = []
            for (feature, column) in features {
                guard let column else {
                    values.append(nil)
                    continue
                }
                values.append(
                    try FeatureValue(json: column.values[row], type: feature.type, field: "df.\(column.name)[\(row)]"))
            }
            rows.append(
                OnlineRow(
                    key: try view.entityKey.bytes(view.joinKeys.isEmpty ? [.string("")] : key),
                    time: try Self.time(
                        times.values[row], "df.\(times.name)[\(row)]", now: now, ahead: view.definition.futureLimit),
                    created: try created.map { column throws(AerieError) in
                        column.values[row].isNull ? 0 : try Self.time(column.values[row], "df.\(column.name)[\(row)]")
                    } ?? 0,
                    values: values))
        }
        return rows
    }

    private static func time(
        _ value: JSONValue, _ field: String, now: Int64, ahead limit: Int64
    ) throws(AerieError) -> Int64 {
        let time = try time(value, field)
        guard time <= now + limit else {
            throw .invalid(
                field,
                "\(FeatureTime.text(time)) is more than \(limit / 1_000_000) s ahead of the clock, "
                    + "\(FeatureTime.text(now)): no row would count that comes after it. spec.futureLimit of the view says how "
                    + "far ahead rows may be")
        }
        return time
    }

    /// ISO text, or a number of seconds, milliseconds, microseconds or nanoseconds by its size.
    static func time(_ value: JSONValue, _ field: String) throws(AerieError) -> Int64 {
        if let text = value.string, let micros = FeatureTime.parse(text) { return micros }
        guard let number = value.double, number.isFinite, abs(number) < 9e18 else {
            throw .invalid(field, "\(value.text()) is no moment; write 2026-01-31T12:00:00Z or seconds since 1970")
        }
        switch abs(number) {
        case ..<1e11: return Int64(number * 1e6)
        case ..<1e14: return Int64(number * 1e3)
        case ..<1e17: return Int64(number)
        default: return Int64(number / 1e3)
        }
    }
}
