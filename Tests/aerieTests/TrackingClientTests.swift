import AerieCore
import AerieJSON
import Foundation
import Testing

@testable import aerie

@Suite("The client's tables") struct TextTableTests {
    private var table: TextTable {
        var table = TextTable(["name", "metrics.auc"], numbers: [1])
        table.add(["a", "0.9"])
        table.add(["longer name", ""])
        return table
    }

    @Test("columns are aligned, numbers to the right, and what is missing is a dash")
    func alignment() {
        #expect(table.text() == "NAME          metrics.auc\na                     0.9\nlonger name             -\n")
    }

    @Test(
        "the widest columns give way first",
        arguments: [
            ([4, 50, 10], 40, [4, 20, 10], 3), ([30, 50, 10], 40, [12, 12, 10], 3), ([10, 10], 40, [10, 10], 2),
            ([10, 10, 10, 10], 20, [8, 8], 2), ([100], 20, [20], 1),
        ] as [([Int], Int, [Int], Int)])
    func fit(_ widths: [Int], _ width: Int, _ expected: [Int], _ shown: Int) {
        let (fitted, count) = TextTable.fit(widths, to: width)
        #expect(count == shown)
        #expect(Array(fitted.prefix(shown)) == expected)
    }

    @Test("no line is wider than the terminal, and columns that do not fit are named", arguments: 20...60)
    func neverTooWide(_ width: Int) {
        var wide = TextTable((0..<9).map { "column\($0)" })
        wide.add((0..<9).map { String(repeating: "漢é", count: $0 * 4) })
        let lines = wide.text(width: width).split(separator: "\n")
        for line in lines.prefix(2) { #expect(String(line).terminalWidth <= width) }
        if width < 60 { #expect(lines.last?.contains("do not fit") == true) }
    }

    @Test(
        "names cannot take over the terminal",
        arguments: [
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"), ("x\ny\tz\r", "x\\ny\\tz\\r"), ("\u{202e}abc", "\\u{202e}abc"),
            ("\u{9b}31m", "\\u{9b}31m"), ("größe 漢", "größe 漢"),
        ])
    func escapes(_ text: String, _ shown: String) {
        #expect(text.visible == shown)
        var table = TextTable(["n"])
        table.add([text])
        #expect(table.text() == "N\n\(shown)\n")
    }

    @Test("width counts what the terminal draws")
    func width() {
        #expect("abc".terminalWidth == 3)
        #expect("漢字".terminalWidth == 4)
        #expect("e\u{301}".terminalWidth == 1)
        #expect("🙂".terminalWidth == 2)
        #expect("漢字漢字".cut(toTerminalWidth: 5) == "漢字…")
        #expect("abcdef".cut(toTerminalWidth: 4) == "abc…")
    }
}

@Suite("The client's charts") struct TerminalChartTests {
    @Test("a line of blocks goes from the lowest to the highest")
    func sparkline() {
        #expect(TerminalChart.sparkline([0, 1, 2, 3, 4, 5, 6, 7], width: 8) == "▁▂▃▄▅▆▇█")
        #expect(TerminalChart.sparkline([1, .nan, 1], width: 8) == "▄ ▄")
        #expect(TerminalChart.sparkline([.nan], width: 8) == "")
        #expect(TerminalChart.sparkline((0..<1000).map(Double.init), width: 16).count == 16)
    }

    @Test("a chart has its height and width, and its scale at the left")
    func braille() {
        let lines = TerminalChart.braille((0..<50).map { (Double($0), Double($0)) }, width: 40, height: 5)
        #expect(lines.count == 5)
        #expect(lines.allSatisfy { $0.count == 40 })
        #expect(lines.first?.hasPrefix("49 │") == true)
        #expect(lines.last?.hasPrefix(" 0 │⣀") == true || lines.last?.hasPrefix(" 0 │⡠") == true)
        #expect(TerminalChart.braille([(1, .nan)], width: 40, height: 5).isEmpty)
        #expect(TerminalChart.braille([(1, 1)], width: 40, height: 5).count == 5)
    }

    @Test("thinning keeps both ends")
    func thin() {
        let thin = TerminalChart.thin(Array(0..<1001), to: 11)
        #expect(thin == stride(from: 0, through: 1000, by: 100).map { $0 })
        #expect(TerminalChart.thin([1, 2], to: 5) == [1, 2])
    }
}

@Suite("CSV") struct CSVRowTests {
    @Test(
        "what could be misread stands in quotes, and nothing differs from the empty text",
        arguments: [
            (.null, ""), (.string(""), "\"\""), (.string("a"), "a"), (.string("a,b"), "\"a,b\""),
            (.string("say \"hi\""), "\"say \"\"hi\"\"\""), (.string("a\r\nb"), "\"a\r\nb\""),
            (.string("\r\n"), "\"\r\n\""),
            (.string("\""), "\"\"\"\""), (.int(-3), "-3"), (.double(0.5), "0.5"), (.bool(true), "true"),
        ] as [(JSONValue, String)])
    func cells(_ value: JSONValue, _ text: String) {
        #expect(CSVRow.cell(value) == text)
    }

    @Test("rows end with CR LF")
    func row() { #expect(CSVRow.text([.int(1), .null, .string("x")]) == "1,,x\r\n") }
}

@Suite("Exports") struct TableExportTests {
    private func folder() throws -> URL {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("aerie-export-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        return folder
    }

    private static let columns: [TableExport.Column] = [
        .init(name: "run_id", kind: .text), .init(name: "metrics.a", kind: .number),
        .init(name: "params.\"x\",y", kind: .text),
    ]

    private func fill(_ export: TableExport) throws {
        let rows: [JSONObject] = [
            ["run_id": "1", "metrics.a": 0.5], ["run_id": "2", "params.\"x\",y": "line\nbreak", "metrics.a": "NaN"],
        ]
        for row in rows { try export.add(nested: .object(row), flat: row) }
    }

    @Test("columns that come up late are in every row")
    func csv() async throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("x.csv").path
        let export = try TableExport(path: path)
        try fill(export)
        #expect(!FileManager.default.fileExists(atPath: path))
        try await export.finish(Self.columns)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        #expect(text == "run_id,metrics.a,\"params.\"\"x\"\",y\"\r\n1,0.5,\r\n2,NaN,\"line\nbreak\"\r\n")
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["x.csv"])
    }

    @Test("JSON is an array or a line for each row", arguments: ["json", "ndjson"])
    func json(_ ending: String) async throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("x.\(ending)").path
        let export = try TableExport(path: path)
        try fill(export)
        try await export.finish(Self.columns)
        let text = try String(contentsOfFile: path, encoding: .utf8)
        let rows =
            ending == "json"
            ? try JSONValue.parse(text).array : try text.split(separator: "\n").map { try JSONValue.parse(String($0)) }
        #expect(rows?.count == 2)
        #expect(rows?[1]["params.\"x\",y"] == "line\nbreak")
    }

    @Test("an export that is given up leaves the old file and nothing else")
    func discard() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("x.csv").path
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        let export = try TableExport(path: path)
        try fill(export)
        export.discard()
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["x.csv"])
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "old")
    }

    @Test("wrong places are told before anything is fetched", arguments: ["x.txt", "x", "/nowhere/x.csv", "/tmp"])
    func wrong(_ path: String) {
        let error = #expect(throws: AerieError.self) { try TableExport(path: path) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("lines are read whole, whatever their length")
    func lines() throws {
        let folder = try folder()
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appendingPathComponent("lines").path
        let long = String(repeating: "x", count: 3 << 20)
        try Data("a\n\(long)\n\nlast".utf8).write(to: URL(fileURLWithPath: path))
        let reader = try #require(LineReader(path: path))
        var lengths: [Int] = []
        while let line = reader.next() { lengths.append(line.count) }
        #expect(lengths == [1, 3 << 20, 0, 4])
    }
}

@Suite("What differs between runs") struct TrackingDiffTests {
    private var diff: TrackingDiff {
        var diff = TrackingDiff(names: ("a", "b"))
        diff.add("params", ["depth": "3", "same": "x"], ["depth": "4", "same": "x", "new": "1"])
        diff.add("metrics", metrics: ["auc": 0.5, "zero": 0, "nan": .nan], ["auc": 0.75, "zero": 1, "nan": .nan])
        return diff
    }

    @Test("metrics have a difference, and per cent of the first where it is not 0")
    func metrics() throws {
        let rows = try #require(diff.sections.last).rows
        #expect(rows.map(\.key) == ["auc", "nan", "zero"])
        #expect(rows[0].difference == 0.25 && rows[0].percent == 50)
        #expect(rows[1].difference == nil && rows[1].isEqual)
        #expect(rows[2].difference == 1 && rows[2].percent == nil)
    }

    @Test("only what differs is shown unless all is asked for")
    func text() {
        let text = diff.text(width: nil, showsAll: false)
        #expect(text.contains("params: 2 differ, 1 equal") && !text.contains("same"))
        #expect(text.contains("+50.00"))
        #expect(diff.text(width: nil, showsAll: true).contains("same"))
        #expect(!diff.isEqual)
    }

    @Test("equal sides say so")
    func equal() {
        var diff = TrackingDiff(names: ("a", "b"))
        diff.add("params", ["x": "1"], ["x": "1"])
        #expect(diff.isEqual && diff.text(width: nil, showsAll: false).contains("no difference"))
        #expect(diff.json["equal"] == true)
    }

    @Test("JSON has numbers for metrics and null for what is missing")
    func json() {
        let json = diff.json
        #expect(json["metrics"]?.array?.first?["percent"] == 50.0)
        #expect(json["params"]?.array?.last?["a"] == .null)
    }
}

@Suite("What the tracking commands take") struct TrackingArgumentTests {
    @Test(
        "tags are set with = and removed with -",
        arguments: [
            ("a=b", .set("a", "b")), ("a=", .set("a", "")), ("a=b=c", .set("a", "b=c")), ("a-", .remove("a")),
            ("a-b=c", .set("a-b", "c")),
        ] as [(String, TagChange)])
    func tags(_ text: String, _ change: TagChange) throws { #expect(try TagChange(text) == change) }

    @Test("other words are no tags", arguments: ["", "a", "=b", "-"])
    func wrongTags(_ text: String) {
        let error = #expect(throws: AerieError.self) { try TagChange(text) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("columns are those of a run, or params, metrics and tags by key")
    func columns() throws {
        #expect(try RunColumn("metrics.a.b") == .metric("a.b"))
        #expect(try RunColumn("run_id") == .id)
        #expect(try RunColumn("tag.x") == .tag("x"))
        let error = #expect(throws: AerieError.self) { try RunColumn("metrics.") }
        #expect(error?.code == .invalidArgument)
    }

    @Test("a path cannot lead out of the artifacts")
    func paths() throws {
        #expect(try TrackingArtifacts.clean("/a//b/./c/") == "a/b/c")
        let error = #expect(throws: AerieError.self) { try TrackingArtifacts.clean("a/../../b") }
        #expect(error?.code == .invalidArgument)
    }

    @Test("signatures are shown by name and type")
    func signature() {
        let text = #"[{"name":"age","type":"long","required":true},{"name":"x","type":"double","required":false}]"#
        #expect(ModelVersionDetails.columns(text) == "age: long, x: double?")
        let tensor = #"[{"type":"tensor","tensor-spec":{"dtype":"float64","shape":[-1,4]}}]"#
        #expect(ModelVersionDetails.columns(tensor) == "float64[-1,4]")
        #expect(ModelVersionDetails.columns("{}") == "{}")
    }

    @Test("times have milliseconds")
    func times() {
        #expect(Timestamp(milliseconds: 1_700_000_000_007).iso8601Milliseconds == "2023-11-14T22:13:20.007Z")
        #expect(Timestamp(milliseconds: -1).iso8601Milliseconds == "1969-12-31T23:59:59.999Z")
    }
}
