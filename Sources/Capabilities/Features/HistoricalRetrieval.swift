public import AerieCore
import AerieResources
import Datasets
import Foundation

extension FeatureStore {
    /// Writes a table with each entity row and the features as they were known at its time; see `PointInTimeJoin`.
    ///
    /// Memory is the engine's: what does not fit spills. Cancelling the task ends the work; the output is then to be
    /// thrown away.
    /// - Parameter progress: told at each step, and a few times a second between.
    /// - Throws: `notFound` or `invalidArgument` for names and columns that do not fit.
    public func historical(
        _ request: HistoricalRequest, namespace: String = "default",
        progress: @escaping @Sendable (HistoricalProgress) -> Void = { _ in }
    ) async throws(AerieError) -> HistoricalResult {
        let catalog = try await catalog(namespace)
        let references = try request.references(in: catalog)
        let engine = try engine()
        let (chosen, computed) = try await Self.views(references, catalog, engine, access)
        var runner: (any FunctionRunner)?
        for function in computed.functions { runner = try function.call.runner(of: self) }
        var work = try await RetrievalWork(request, chosen, computed, engine, progress)
        let rows = try await work.run(runner)
        let names = work.join.entityColumns
        let features =
            work.join.views.flatMap { view in view.features.map { work.join.outputName(view, $0) } }
            + computed.computations.map { work.join.outputName($0) }
        var views: [FeatureCatalog.View] = []
        for one in chosen where !views.contains(where: { $0.key == one.view.key }) {
            views.append(try catalog.view(one.view.key.name))
        }
        return HistoricalResult(rows: rows, columns: names + features, views: views, references: references)
    }

    /// A view as the references see it, with the features that they name.
    struct ChosenView: Sendable {
        var view: FeatureCatalog.View
        var features: [String]
        /// Further ones that computations read.
        var inputs: [String] = []
        var source: FeatureSource
    }

    private static func views(
        _ references: [FeatureReference], _ catalog: FeatureCatalog, _ engine: any SQLEngine, _ access: SourceAccess
    ) async throws(AerieError) -> ([ChosenView], ComputedWork) {
        var views: [ChosenView] = []
        var work = ComputedWork()
        for reference in references {
            let view = try catalog.view(reference)
            guard let onDemand = view.onDemand else {
                let at = try await place(view, engine, access, &views)
                if !views[at].features.contains(reference.feature) { views[at].features.append(reference.feature) }
                continue
            }
            guard let place = view.definition.features.firstIndex(where: { $0.name == reference.feature }) else {
                throw .invalid("features", "view '\(reference.view)' declares no feature '\(reference.feature)'")
            }
            var inputs: [FeatureCatalog.View] = []
            for input in onDemand.inputs {
                let from = try catalog.view(input.reference)
                inputs.append(from)
                let at = try await self.place(from, engine, access, &views)
                if !views[at].inputs.contains(input.reference.feature) {
                    views[at].inputs.append(input.reference.feature)
                }
            }
            add(reference, view, onDemand, place: place, reading: inputs, to: &work)
        }
        return (views, work)
    }

    /// Where a view stands among the chosen ones; it is added if it is not there.
    private static func place(
        _ view: FeatureCatalog.View, _ engine: any SQLEngine, _ access: SourceAccess, _ views: inout [ChosenView]
    ) async throws(AerieError) -> Int {
        if let known = views.firstIndex(where: { $0.view.definition.name == view.definition.name }) { return known }
        let source = try await view.definition.source(engine, access)
        views.append(ChosenView(view: view, features: [], source: source))
        return views.count - 1
    }
}

/// One retrieval, on an engine of its own.
private struct RetrievalWork {
    private let engine: any SQLEngine
    private let request: HistoricalRequest
    private let progress: @Sendable (HistoricalProgress) -> Void
    private(set) var join: PointInTimeJoin
    /// What functions are given and give.
    private var functionFiles: [String] = []

    init(
        _ request: HistoricalRequest, _ views: [FeatureStore.ChosenView],
        _ computed: FeatureStore.ComputedWork, _ engine: any SQLEngine,
        _ progress: @escaping @Sendable (HistoricalProgress) -> Void
    ) async throws(AerieError) {
        self.engine = engine
        self.request = request
        self.progress = progress
        let relation: String
        switch request.rows {
        case .file(let path, let format):
            guard format != .arrow else { throw .invalid("format", "entity rows are read as parquet or csv") }
            let file = sqlString(path)
            relation = format == .csv ? "read_csv_auto(\(file))" : "read_parquet(\(file))"
        case .range(let start, let end): relation = try EntityRange(views, from: start, to: end).relation
        }
        let columns = try await Self.columns(relation, engine, request.rows)
        let names = columns.map(\.name)
        let timestamp = try Self.time(request, columns)
        join = PointInTimeJoin(
            entities: relation, entityColumns: names, timestamp: timestamp,
            timestampType: columns.first { $0.name == timestamp }?.type,
            views: views.map { one in
                let keys = one.view.joinKeys.enumerated().map { place, key in
                    (
                        entity: names.contains(key.name) || !names.contains(key.entity) ? key.name : key.entity,
                        view: one.view.entityKey.names[place]
                    )
                }
                var view = PointInTimeJoin.View(
                    one.view.definition, keys: keys, features: one.features, source: one.source)
                view.inputs = one.inputs
                return view
            }, usesFullNames: request.selection.usesFullNames)
        join.computations = computed.computations
        join.functions = computed.functions
        // A key may stand under its entity's name.
        for place in join.functions.indices {
            join.functions[place].keys = join.functions[place].keys.map { name in
                let key = views.flatMap(\.view.joinKeys).first { $0.name == name }
                return names.contains(name) ? name : key.flatMap { names.contains($0.entity) ? $0.entity : nil } ?? name
            }
        }
    }

    /// - Returns: the rows written.
    /// - Parameter runner: of the functions; `nil` if there are none.
    mutating func run(_ runner: (any FunctionRunner)?) async throws(AerieError) -> Int64 {
        let tables = try join.stages().count
        let steps = tables + join.functions.count + 1
        for step in 0..<tables {
            // Entity rows are known once they are there, and say what of the sources is to be read, and how.
            let stage = try join.stages()[step]
            try await observed(.init(view: stage.view, step: step, steps: steps, share: 0)) { () throws(AerieError) in
                do throws(AerieError) { try await stage.make(on: engine) } catch { throw unfit(error, in: stage) }
            }
            if step == 0 { try await look(at: stage.table) }
        }
        defer { for file in functionFiles { try? FileManager.default.removeItem(atPath: file) } }
        for place in join.functions.indices {
            guard let runner else { break }
            let (function, files) = (join.functions[place], (request.output + ".in\(place)", request.output + ".out\(place)"))
            functionFiles += [files.0, files.1]
            join.functions[place].results = files.1
            let copy = "COPY (\(join.input(of: function))) TO \(sqlString(files.0)) (FORMAT parquet)"
            try await observed(.init(view: function.call.view, step: tables + place, steps: steps, share: 0)) {
                () throws(AerieError) in
                try await engine.execute(copy)
                try await runner.run(function.call, table: files.0, to: files.1)
            }
        }
        return try await observed(.init(view: nil, step: steps - 1, steps: steps, share: 0)) { () throws(AerieError) in
            try await engine.copy(join.result, to: request.output, as: request.outputFormat)
        }
    }

    /// Tells how far the engine is while the work runs.
    private func observed<Answer: Sendable>(
        _ place: HistoricalProgress, _ work: () async throws(AerieError) -> Answer
    ) async throws(AerieError) -> Answer {
        let tell = { @Sendable [progress] (share: Double) in
            var now = place
            now.share = (Double(place.step) + share) / Double(place.steps)
            progress(now)
        }
        tell(0)
        let observed = engine as? any ObservableSQLEngine
        let observer = Task {
            while (try? await Task.sleep(for: .milliseconds(250))) != nil {
                if let share = observed?.share { tell(share) }
            }
        }
        defer { observer.cancel() }
        return try await work()
    }

    private mutating func look(at table: String) async throws(AerieError) {
        let time = PointInTimeJoin.time
        let found = try await engine.query("SELECT min(\(time)), max(\(time)), count(*) FROM \(table)")
        let values = found.columns.map { $0[0] }
        if case .int(let first)? = values.first, case .int(let last) = values[1] { join.times = first...last }
        if case .int(let count)? = values.last { join.searches = count <= PointInTimeJoin.searchLimit }
        join.searches = join.searches && engine is any PointInTimeJoin.SearchEngine
    }

    private static func columns(
        _ relation: String, _ engine: any SQLEngine, _ rows: HistoricalRequest.Rows
    ) async throws(AerieError) -> [(name: String, type: String)] {
        do { return try await engine.columns(of: relation) } catch {
            guard error.code == .invalidArgument else { throw error }
            throw .invalid("entity rows", "the file cannot be read: \(words(error, rows))")
        }
    }

    /// What the engine says of data that it cannot read or convert, as an error of what these are.
    private func unfit(_ error: AerieError, in stage: PointInTimeJoin.Stage) -> AerieError {
        guard error.code == .invalidArgument else { return error }
        let words = Self.words(error, request.rows)
        // What comes before the views is made of the rows alone, keys of any of them among it.
        let concerned = join.views.filter { stage.view == nil || $0.definition.name == stage.view }
        let keys = Set(concerned.flatMap(\.keys).map(\.entity)).sorted().joined(separator: ", ")
        return .invalid(
            stage.view.map { "view '\($0)'" } ?? "entity rows",
            keys.isEmpty ? words : "\(words); the keys in the entity rows are \(keys)")
    }

    /// The engine's words without the place of the rows, which is the server's own.
    private static func words(_ error: AerieError, _ rows: HistoricalRequest.Rows) -> String {
        guard case .file(let path, _) = rows else { return error.wordsOnData }
        return error.wordsOnData.replacing("'\(path)'", with: "of entity rows")
    }

    private static func time(
        _ request: HistoricalRequest, _ columns: [(name: String, type: String)]
    ) throws(AerieError) -> String {
        if case .range = request.rows { return EntityRange.timestamp }
        let names = columns.map(\.name)
        if let name = request.timestamp {
            if names.contains(name) { return name }
            throw .invalid(
                "timestamp", "the entity rows have no column '\(name)'; there are \(names.joined(separator: ", "))")
        }
        // Whatever its type: dates and texts of a CSV file are times as well.
        if names.contains("event_timestamp") { return "event_timestamp" }
        let times = columns.filter { $0.type.hasPrefix("TIMESTAMP") || $0.type == "DATE" }.map(\.name)
        if times.count == 1 { return times[0] }
        throw .invalid(
            "timestamp",
            times.isEmpty
                ? "the entity rows have neither a column event_timestamp nor one that is a time; there are "
                    + names.joined(separator: ", ") + ": say which counts"
                : "the entity rows have several times, \(times.joined(separator: ", ")): say which counts")
    }
}
