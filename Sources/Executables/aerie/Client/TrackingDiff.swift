import AerieJSON
import Foundation

/// What differs between two runs or two versions of a model.
struct TrackingDiff: Sendable {
    /// One name with its value on either side; `nil` where that side has none.
    struct Row: Hashable, Sendable {
        var key: String
        var a: String?
        var b: String?
        /// Of numbers that both sides have.
        var difference: Double?
        /// Of the left side; `nil` also where that is 0.
        var percent: Double?
        var isEqual: Bool { a == b }
    }

    struct Section: Sendable {
        var name: String
        var rows: [Row]
        var differing: [Row] { rows.filter { !$0.isEqual } }
    }

    var names: (a: String, b: String)
    var sections: [Section] = []
    /// Unified diffs of text files, if they were asked for.
    var texts: [(path: String, diff: String)] = []

    var isEqual: Bool { sections.allSatisfy { $0.differing.isEmpty } && texts.isEmpty }

    mutating func add(_ name: String, _ a: [String: String], _ b: [String: String]) {
        let keys = Set(a.keys).union(b.keys).sorted()
        sections.append(Section(name: name, rows: keys.map { Row(key: $0, a: a[$0], b: b[$0]) }))
    }

    mutating func add(_ name: String, metrics a: [String: Double], _ b: [String: Double]) {
        let keys = Set(a.keys).union(b.keys).sorted()
        let rows = keys.map { key -> Row in
            var row = Row(key: key, a: a[key].map { "\($0)" }, b: b[key].map { "\($0)" })
            if let left = a[key], let right = b[key], left.isFinite, right.isFinite {
                row.difference = right - left
                if left != 0 { row.percent = (right - left) / abs(left) * 100 }
            }
            return row
        }
        sections.append(Section(name: name, rows: rows))
    }

    mutating func add(_ name: String, files a: [TrackingArtifacts.File], _ b: [TrackingArtifacts.File]) {
        func sizes(_ files: [TrackingArtifacts.File]) -> [String: String] {
            Dictionary(files.map { ($0.path, "\($0.size) B") }, uniquingKeysWith: { first, _ in first })
        }
        add(name, sizes(a), sizes(b))
    }

    /// - Parameter showsAll: also what is equal.
    func text(width: Int?, showsAll: Bool) -> String {
        var text = "a: \(names.a.visible)\nb: \(names.b.visible)\n"
        for section in sections where !section.rows.isEmpty {
            let rows = showsAll ? section.rows : section.differing
            let equal = section.rows.count - section.differing.count
            text += "\n\(section.name): \(section.differing.count) differ, \(equal) equal\n"
            guard !rows.isEmpty else { continue }
            let hasNumbers = section.name == "metrics"
            var table = TextTable(
                hasNumbers ? ["", "key", "a", "b", "difference", "%"] : ["", "key", "a", "b"],
                numbers: hasNumbers ? [2, 3, 4, 5] : [])
            for row in rows {
                let sign = row.a == nil ? "+" : row.b == nil ? "-" : row.isEqual ? "=" : "~"
                var cells = [sign, row.key]
                if hasNumbers {
                    cells += [row.a, row.b].map { $0.flatMap { Double($0) }.map { TerminalChart.number($0) } ?? "" }
                    cells.append(row.difference.map { Self.signed($0) } ?? "")
                    cells.append(row.percent.map { ($0 < 0 ? "" : "+") + String(format: "%.2f", $0) } ?? "")
                } else {
                    cells += [row.a ?? "", row.b ?? ""]
                }
                table.add(cells)
            }
            text += table.text(width: width)
        }
        if isEqual { text += "\nno difference\n" }
        for (_, diff) in texts {
            text +=
                "\n"
                + diff.split(separator: "\n", omittingEmptySubsequences: false)
                .map { String($0).visible }.joined(separator: "\n")
        }
        return text
    }

    private static func signed(_ value: Double) -> String { (value < 0 ? "" : "+") + TerminalChart.number(value) }

    /// Sections of what differs, `null` where a side has no value.
    var json: JSONValue {
        var object = JSONObject([("a", .string(names.a)), ("b", .string(names.b)), ("equal", .bool(isEqual))])
        for section in sections {
            object[section.name] = .array(
                section.differing.map { row in
                    func value(_ text: String?) -> JSONValue {
                        guard let text else { return .null }
                        guard section.name == "metrics" else { return .string(text) }
                        return RunColumn.number(Double(text) ?? .nan)
                    }
                    var one = JSONObject([("key", .string(row.key)), ("a", value(row.a)), ("b", value(row.b))])
                    if section.name == "metrics" {
                        one["difference"] = row.difference.map { .double($0) } ?? .null
                        one["percent"] = row.percent.map { .double($0) } ?? .null
                    }
                    return .object(one)
                })
        }
        if !texts.isEmpty {
            object["texts"] = .array(texts.map { ["path": .string($0.path), "diff": .string($0.diff)] })
        }
        return .object(object)
    }
}
