public import AerieCore
import AerieJSON
import AerieResources
import Datasets

extension FeatureStore {
    /// Reads of one view that are compared at a time, the newest first.
    private static let readsPerView = 2000

    /// Compares the sampled reads with the offline values at the same instants.
    ///
    /// A feature differs where the point-in-time join gives another value than was served, a value where none was
    /// served, or none where one was. Numbers of single precision are compared as such. A view whose source cannot be
    /// read holds up none of the others.
    public func compareSampledReads() async throws(AerieError) -> SkewReport {
        var report = SkewReport(at: clock.now().milliseconds * 1000, reads: 0, features: [])
        for name in try await log?.names("reads/") ?? [] {
            let parts = name.split(separator: "/")
            guard parts.count == 3, let view = try await catalog(String(parts[1])).view(keptAs: String(parts[2])),
                view.definition.isConnected
            else { continue }
            let reads = try await records(name, limit: Self.readsPerView)
            guard !reads.isEmpty else { continue }
            do throws(AerieError) {
                report.features += try await SkewComparison(
                    view: view, reads: reads, engine: try engine(), access: access
                ).lines()
                report.reads += Int64(reads.count)
            } catch { report.problems.append("\(view.key.namespace)/\(view.definition.name): \(error.message)") }
        }
        skew.put(report)
        for line in report.features where line.compared > 0 {
            counters.skew(Double(line.different) / Double(line.compared), of: line)
        }
        return report
    }
}

/// The sampled reads of one view beside the offline values.
struct SkewComparison {
    let view: FeatureCatalog.View
    let reads: [JSONValue]
    let engine: any SQLEngine
    let access: SourceAccess

    func lines() async throws(AerieError) -> [SkewReport.Line] {
        try await makeTable()
        let features = view.definition.features.filter(\.type.isComparable)
        let keys = view.joinKeys.enumerated().map { (entity: "__aerie_k\($0)", view: $1.name) }
        let join = PointInTimeJoin(
            entities: "\"__aerie_reads\"", entityColumns: ["__aerie_at", "__aerie_place"] + keys.map { $0.entity },
            timestamp: "__aerie_at",
            views: [
                PointInTimeJoin.View(
                    view.definition, keys: keys, features: features.map(\.name),
                    source: try await view.definition.source(engine, access))
            ])
        let table = try await engine.query(try join.sql())
        guard case .int(let places)? = table["__aerie_place"]?.values else { return [] }
        var lines: [SkewReport.Line] = []
        for feature in features {
            guard let column = table[feature.name] else { continue }
            var line = SkewReport.Line(namespace: view.key.namespace, view: view.definition.name, feature: feature.name)
            var (online, offline): ([Double], [Double]) = ([], [])
            for (row, place) in places.enumerated() {
                guard let served = reads[Int(place)]["values"]?[feature.name] else { continue }
                let known = Self.json(column[row], feature.type)
                line.compared += 1
                if let number = served.double { online.append(number) }
                if let number = known.double { offline.append(number) }
                if Self.areSame(served, known, feature.type) { continue }
                line.different += 1
                if line.example == nil {
                    line.example = "served \(served.text()), training would say \(known.text())"
                }
            }
            if !online.isEmpty { line.meanOnline = online.reduce(0, +) / Double(online.count) }
            if !offline.isEmpty { line.meanOffline = offline.reduce(0, +) / Double(offline.count) }
            lines.append(line)
        }
        return lines
    }

    private func makeTable() async throws(AerieError) {
        let types = view.joinKeys.map { key in
            switch key.type {
            case .string: "VARCHAR"
            case nil: reads.first?["keys"]?.array?.first?.string == nil ? "BIGINT" : "VARCHAR"
            default: "BIGINT"
            }
        }
        let columns = types.enumerated().map { ", \"__aerie_k\($0)\" \($1)" }.joined()
        try await engine.execute(
            "CREATE TEMP TABLE \"__aerie_reads\" (\"__aerie_at\" TIMESTAMP, \"__aerie_place\" BIGINT\(columns))")
        for start in stride(from: 0, to: reads.count, by: 200) {
            var rows: [String] = []
            var values: [SQLValue] = []
            for place in start..<min(start + 200, reads.count) {
                guard let at = reads[place]["at"]?.int, let keys = reads[place]["keys"]?.array, keys.count == types.count
                else { continue }
                rows.append("(make_timestamp(?), ?" + String(repeating: ", ?", count: types.count) + ")")
                values += [.int(at), .int(Int64(place))]
                for key in keys {
                    values.append(key.int.map(SQLValue.int) ?? .text(key.string ?? ""))
                }
            }
            if rows.isEmpty { continue }
            try await engine.execute("INSERT INTO \"__aerie_reads\" VALUES \(rows.joined(separator: ", "))", values)
        }
    }

    /// An offline value as a read would have told it.
    private static func json(_ value: SQLValue, _ type: FeatureType) -> JSONValue {
        switch (value, type) {
        case (.null, _): .null
        case (.timestamp(let micros), _): .int(Int64((Double(micros) / 1e6).rounded(.down)))
        case (.double(let number), .float): FeatureValue.float(Float(number)).json
        case (.double(let number), _): FeatureValue.double(number).json
        case (.int(let number), .float), (.int(let number), .double): .double(Double(number))
        case (.int(let number), .bool): .bool(number != 0)
        case (.int(let number), .string): .string("\(number)")
        case (.int(let number), _): .int(number)
        case (.bool(let flag), _): .bool(flag)
        case (.text(let text), _): .string(text)
        }
    }

    private static func areSame(_ served: JSONValue, _ known: JSONValue, _ type: FeatureType) -> Bool {
        guard let a = served.double, let b = known.double, served.bool == nil, known.bool == nil else {
            return served == known
        }
        if type == .float { return Float(a) == Float(b) }
        return a == b
    }
}
