public import AerieCore
import AerieJSON
public import AerieResources
public import Datasets
import Foundation
import Synchronization

/// Point-in-time tables that are kept: versioned, never changed, with what they were made of.
///
/// A version is there when its description is, which is written last; what a crash leaves of another is not seen and is
/// written over. Versions of one name are made one after the other.
public final class SavedDatasets: Sendable {
    private let archive: any DatasetArchive
    private let resources: any ResourceStore
    private let clock: any WallClock
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine
    private let busy = Mutex<Set<String>>([])

    /// - Parameters:
    ///   - resources: where the versions of views are known.
    ///   - engine: a new one for each table.
    public init(
        archive: any DatasetArchive, resources: any ResourceStore, clock: any WallClock = SystemClock(),
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine
    ) {
        self.archive = archive
        self.resources = resources
        self.clock = clock
        self.engine = engine
    }

    /// Retrieves a table, keeps it as the next version of a name, and leaves it in the format that was asked for.
    /// - Parameter retrieve: does what a request says. It is given one for Parquet, which is what is kept.
    /// - Throws: `invalidArgument` for a name that is none, before anything is retrieved; `conflict` if another version
    ///   of the name is being saved.
    public func make(
        _ name: String, _ request: HistoricalRequest, namespace: String, actor: String,
        retrieve: (HistoricalRequest) async throws(AerieError) -> HistoricalResult
    ) async throws(AerieError) -> (result: HistoricalResult, saved: SavedDataset) {
        try Self.check(name)
        var kept = request
        kept.outputFormat = .parquet
        if request.outputFormat != .parquet { kept.output += ".parquet" }
        defer { if kept.output != request.output { try? FileManager.default.removeItem(atPath: kept.output) } }
        let result = try await retrieve(kept)
        let saved = try await save(name, kept, result, namespace: namespace, actor: actor)
        if kept.output != request.output {
            _ = try await engine().copy(
                "SELECT * FROM read_parquet(\(sqlString(kept.output)))", to: request.output, as: request.outputFormat)
        }
        return (result, saved)
    }

    /// Keeps a Parquet table that was just retrieved. Reads it once more, for its statistics.
    private func save(
        _ name: String, _ request: HistoricalRequest, _ result: HistoricalResult, namespace: String, actor: String
    ) async throws(AerieError) -> SavedDataset {
        let folder = "\(namespace)/\(name)"
        guard busy.withLock({ $0.insert(folder).inserted }) else {
            throw AerieError(.conflict, "another version of dataset '\(name)' is being saved", reason: "dataset.busy")
        }
        defer { _ = busy.withLock { $0.remove(folder) } }
        let entities: SavedDataset.Rows
        switch request.rows {
        case .file(let path, _): entities = .file(digest: try await archive.digest(of: path))
        case .range(let start, let end): entities = .range(start: start, end: end)
        }
        var views: [SavedDataset.View] = []
        for view in result.views {
            let version = try await resources.versions(view.key).last?.number ?? 0
            views.append(.init(name: view.key.name, version: version, source: view.definition.location))
        }
        let columns = try await columns(of: request.output)
        let version = (try await versions(name, namespace).last ?? 0) + 1
        let place = Self.place(namespace, name, version)
        let table = try await archive.put("\(place)/table.parquet", from: request.output)
        let dataset = SavedDataset(
            namespace: namespace, name: name, version: version, created: clock.now(), actor: actor, rows: result.rows,
            table: table, columns: columns, features: result.references.map(\.description),
            references: result.references.map { FeatureReference(view: $0.view, feature: $0.feature) },
            service: request.selection.service, views: views, entities: entities)
        try await archive.put("\(place)/dataset.json", text: dataset.json.text(indent: 2))
        return dataset
    }

    /// What can be wrong with the name, before any work is done.
    private static func check(_ name: String) throws(AerieError) {
        if let problem = FeatureName.problem(name) { throw .invalid("save", problem) }
        guard name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x5c && $0 != 0x7f }), !name.hasPrefix(".") else {
            throw .invalid("save", "'\(name)' holds characters that a dataset's name may not")
        }
    }

    /// Every version of a name, or of all names, the newest of each name first.
    public func list(_ name: String? = nil, namespace: String) async throws(AerieError) -> [SavedDataset] {
        var found: [SavedDataset] = []
        let names: [String]
        if let name { names = [name] } else { names = try await archive.names(in: namespace) }
        for name in names {
            for version in try await versions(name, namespace).reversed() {
                found.append(try await dataset(name, version, namespace: namespace))
            }
        }
        return found
    }

    /// - Throws: `notFound`.
    public func dataset(_ name: String, _ version: Int, namespace: String) async throws(AerieError) -> SavedDataset {
        let place = "\(Self.place(namespace, name, version))/dataset.json"
        guard FeatureName.problem(name) == nil, let text = try await archive.text(place) else {
            throw .notFound("there is no version \(version) of a dataset '\(name)' in \(namespace)")
        }
        guard let json = try? JSONValue.parse(text), let dataset = SavedDataset(json: json) else {
            throw AerieError(.dataLoss, "the description of dataset \(name)/\(version) cannot be read")
        }
        return dataset
    }

    /// Copies the table to a path on this machine.
    public func fetch(_ dataset: SavedDataset, to file: String) async throws(AerieError) {
        let place = Self.place(dataset.namespace, dataset.name, dataset.version)
        try await archive.fetch("\(place)/table.parquet", to: file)
    }

    // MARK: Inside

    private static func place(_ namespace: String, _ name: String, _ version: Int) -> String {
        "\(namespace)/\(name)/\(version)"
    }

    /// Those with a description, in order.
    private func versions(_ name: String, _ namespace: String) async throws(AerieError) -> [Int] {
        var versions: [Int] = []
        for entry in try await archive.names(in: "\(namespace)/\(name)") {
            guard let number = Int(entry) else { continue }
            if try await archive.names(in: "\(namespace)/\(name)/\(entry)").contains("dataset.json") {
                versions.append(number)
            }
        }
        return versions.sorted()
    }

    private func columns(of file: String) async throws(AerieError) -> [SavedDataset.Column] {
        let engine = try engine()
        let relation = "read_parquet(\(sqlString(file)))"
        let columns = try await engine.columns(of: relation)
        var wanted: [String] = []
        for (index, column) in columns.enumerated() {
            let name = sqlIdentifier(column.name)
            wanted.append("count(*) - count(\(name)) AS n\(index)")
            guard Self.isNumber(column.type) else { continue }
            let value = "\(name)::DOUBLE"
            wanted += [
                "avg(\(value)) AS a\(index)", "stddev_samp(\(value)) AS d\(index)", "min(\(value)) AS l\(index)",
                "max(\(value)) AS h\(index)",
            ]
        }
        let table = try await engine.query("SELECT \(wanted.joined(separator: ", ")) FROM \(relation)")
        return columns.enumerated().map { index, column in
            func number(_ letter: String) -> Double? {
                if case .double(let value)? = table["\(letter)\(index)"]?[0], value.isFinite { value } else { nil }
            }
            var nulls: Int64 = 0
            if case .int(let count)? = table["n\(index)"]?[0] { nulls = count }
            return SavedDataset.Column(
                name: column.name, type: column.type, nulls: nulls, mean: number("a"), deviation: number("d"),
                minimum: number("l"), maximum: number("h"))
        }
    }

    private static func isNumber(_ type: String) -> Bool {
        ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT",
            "DOUBLE",
        ].contains(type) || type.hasPrefix("DECIMAL")
    }
}
