import AerieArrow
import AerieCore
import AerieJSON
import AerieWire
import Datasets
import Features
import Foundation

extension FlightCommand {
    /// As Python writes a moment: ISO 8601, without a zone in UTC.
    static func micros(_ text: String) -> Int64? { FeatureTime.parse(text) }
}

/// What an offline store is asked to read.
extension FeastFlightService {
    /// Writes the point-in-time table. `name_aliases` say which views the references call otherwise; by which keys they
    /// are then joined stands in the feature services of the project.
    func historical(_ command: FlightCommand, _ upload: Upload, output: String) async throws(AerieError) {
        let project = try command.text("project")
        let references = try command.texts("feature_refs")
        let names = try command.texts("feature_view_names")
        let aliases = command.optionalTexts("name_aliases")
        var projections: [String: FeatureProjection] = [:]
        for (name, alias) in zip(names, aliases) {
            guard let alias, alias != name else { continue }
            projections[alias] = FeatureProjection(
                view: name, joinKeys: try await joinKeys(of: name, as: alias, project: project))
        }
        var request = HistoricalRequest(
            selection: .init(references: references, usesFullNames: command.flag("full_feature_names")),
            projections: projections, rows: .range(start: nil, end: 0), output: output, outputFormat: .parquet)
        guard upload.columns != nil else {
            guard command.optionalText("entity_df_sql") == nil else {
                throw AerieError(.unsupported, "SQL of a client is not run; send a table of entity rows")
            }
            let now = SystemClock().now().milliseconds * 1000
            request.rows = .range(start: try command.time("start_date"), end: try command.time("end_date") ?? now)
            try await write(request, project: project)
            return
        }
        try await withFile { path throws(AerieError) in
            try await upload.engine.execute("COPY \(Self.upload) TO \(sqlString(path)) (FORMAT parquet)")
            request.rows = .file(path, .parquet)
            try await write(request, project: project)
        }
    }

    private func write(_ request: HistoricalRequest, project: String) async throws(AerieError) {
        do throws(AerieError) { _ = try await registry.store.historical(request, namespace: project) } catch {
            throw await registry.store.explained(error, namespace: project)
        }
    }

    private func joinKeys(
        of view: String, as alias: String, project: String
    ) async throws(AerieError) -> [String: String] {
        for service in try await registry.entries(.featureService, project: project) {
            for projection in try service.object.spec.messages(3)
            where projection.text(1) == view && projection.text(3) == alias {
                return Dictionary(try projection.map(4).map { ($0.key, $0.value) }) { _, last in last }
            }
        }
        return [:]
    }

    /// All rows of a source in a range of time, or the newest of each key: SQL for the engine, which has been made to
    /// reach the source.
    func pull(
        _ command: FlightCommand, isLatest: Bool, engine: any ArrowSQLEngine
    ) async throws(AerieError) -> String {
        let keys = try command.texts("join_key_columns")
        let time = try command.text("timestamp_field")
        let created = command.optionalText("created_timestamp_column").flatMap { $0.isEmpty ? nil : $0 }
        var columns: [String] = []
        for name in keys + (try command.texts("feature_name_columns")) + [time] + [created].compactMap(\.self)
        where !columns.contains(name) {
            columns.append(name)
        }
        let name = try command.text("data_source_name")
        let found = try await location(ofSource: name)
        let relation = try await relation(
            FeastSourcePlace(path: found.uri), name: name, columns: columns, timestampField: time,
            project: found.project, engine: engine)
        let moment = "epoch_us(\(sqlIdentifier(time))::TIMESTAMPTZ)"
        var conditions: [String] = []
        if let start = try command.time("start_date") { conditions.append("\(moment) >= \(start)") }
        if let end = try command.time("end_date") { conditions.append("\(moment) <= \(end)") }
        let list = columns.map(sqlIdentifier).joined(separator: ", ")
        let condition = conditions.isEmpty ? "" : " WHERE " + conditions.joined(separator: " AND ")
        guard isLatest else { return "SELECT \(list) FROM \(relation)\(condition)" }
        let partition = keys.isEmpty ? "" : "PARTITION BY \(keys.map(sqlIdentifier).joined(separator: ", ")) "
        let order = ([time] + [created].compactMap(\.self)).map { "\(sqlIdentifier($0)) DESC NULLS LAST" }
        return "SELECT \(list) FROM \(relation)\(condition) QUALIFY row_number() OVER (\(partition)ORDER BY "
            + "\(order.joined(separator: ", "))) = 1"
    }

    /// A table of the columns' names and types, these in the words of Python's Arrow library.
    func columns(_ command: FlightCommand, engine: any ArrowSQLEngine) async throws(AerieError) -> ArrowTable {
        let relation = try await shape(json: try command.text("data_source_proto"), engine: engine)
        let found = try await engine.arrow("SELECT * FROM \(relation) LIMIT 0").schema.fields
        let rows = found.map { "(\(sqlString($0.name)), \(sqlString($0.pythonType)))" }.joined(separator: ", ")
        return try await engine.arrow("SELECT * FROM (VALUES \(rows)) AS t(name, type)")
    }

    // MARK: Sources

    /// Where the file of a data source is, and its project, which commands do not say. The storage of a saved dataset
    /// is none of the registry, and is called by its path.
    func location(ofSource name: String) async throws(AerieError) -> (uri: String, project: String) {
        var found: [String: String] = [:]
        for project in try await registry.entries(.project, project: "") {
            let entry = try await registry.entry(.dataSource, name, project: project.object.name)
            guard let source = entry else { continue }
            var message = source.object.message
            if let batch = try message.message(26) { message = batch }
            found[project.object.name] = try message.message(11)?.text(2) ?? ""
        }
        guard let first = found.first else {
            if name.hasPrefix("/") || name.hasPrefix("file://") { return (name, "") }
            throw FeastKind.dataSource.missing(name, in: "any")
        }
        // By one name two projects may reach two databases.
        var isShared = Set(found.values).count == 1
        if found.count > 1, case .postgres? = FeastSourcePlace(path: first.value) { isShared = false }
        guard isShared else {
            throw AerieError(
                .failedPrecondition,
                "projects \(found.keys.sorted().joined(separator: ", ")) have data sources '\(name)' that differ; give "
                    + "them names of their own")
        }
        return (first.value, first.key)
    }

    /// What has the columns of a data source, which is JSON as protobuf writes it; rows are not to be read of it.
    func shape(json: String, engine: any ArrowSQLEngine) async throws(AerieError) -> String {
        let object: JSONValue
        do throws(JSONError) { object = try JSONValue.parse(json) } catch {
            throw error.asAerieError(in: "data_source_proto")
        }
        let source = object["batchSource"] ?? object
        let name = object["name"]?.string ?? ""
        let place = source["fileOptions"]?["uri"]?.string.flatMap { FeastSourcePlace(path: $0) }
        let project = object["project"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        return try await registry.store.shape(
            of: try Self.table(place, name: name), namespace: project, engine: engine)
    }

    /// What stands after `FROM` for these columns of a data source, once the engine has been made to reach it.
    private func relation(
        _ place: FeastSourcePlace?, name: String, columns: [String], timestampField: String, project: String,
        engine: any ArrowSQLEngine
    ) async throws(AerieError) -> String {
        var table = try Self.table(place, name: name)
        (table.columns, table.timestampField) = (columns, timestampField)
        return try await registry.store.relation(of: table, namespace: project, engine: engine)
    }

    private static func table(_ place: FeastSourcePlace?, name: String) throws(AerieError) -> SourceTable {
        guard let place, place != .push, place != .nothing else {
            throw AerieError(
                .unsupported, "data source '\(name)' has no rows to pull: it is neither files nor a table that is read here",
                reason: "source.unconnected")
        }
        return SourceTable(name: name, source: place.source, columns: [], timestampField: "")
    }
}

extension ArrowField {
    /// As `str(pyarrow.DataType)` has it, which Feast's SDK reads types from.
    var pythonType: String {
        let plain = [
            "n": "null", "b": "bool", "c": "int8", "C": "uint8", "s": "int16", "S": "uint16", "i": "int32",
            "I": "uint32", "l": "int64", "L": "uint64", "e": "halffloat", "f": "float", "g": "double", "u": "string",
            "U": "large_string", "z": "binary", "Z": "large_binary", "tdD": "date32[day]", "tdm": "date64[ms]",
            "ttu": "time64[us]",
        ]
        if let name = plain[format] { return name }
        if format.hasPrefix("ts"), let unit = format.dropFirst(2).first {
            let zone = format.dropFirst(4)
            return "timestamp[\(unit == "s" ? "s" : "\(unit)s")" + (zone.isEmpty ? "]" : ", tz=\(zone)]")
        }
        if format.hasPrefix("+l") || format.hasPrefix("+L") || format.hasPrefix("+w"), let element = children.first {
            return "list<element: \(element.pythonType)>"
        }
        if format == "+m", let entries = children.first, entries.children.count == 2 {
            return "map<\(entries.children[0].pythonType), \(entries.children[1].pythonType)>"
        }
        if format == "+s" {
            return "struct<\(children.map { "\($0.name): \($0.pythonType)" }.joined(separator: ", "))>"
        }
        if format.hasPrefix("d:") { return "decimal128(\(format.dropFirst(2).replacing(",", with: ", ")))" }
        return format
    }
}
