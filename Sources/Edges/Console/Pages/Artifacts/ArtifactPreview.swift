import AerieJSON
import Experiments

/// A file as a person wants to look at it: a picture as a picture, a table as a table, JSON in order. Whatever a text
/// holds, it shows as text and runs nothing.
enum ArtifactPreview {
    static func page(
        run: Run, experiment: Experiment?, path: String, preview: HTML, size: Int64?, model: LoggedModelID?
    ) -> ConsolePage {
        var crumbs = [("Experiments", "/console/experiments")]
        if let experiment { crumbs.append((experiment.name, "/console/experiments/\(urlEncoded(experiment.id.text))")) }
        crumbs.append((ExperimentPages.name(run), ExperimentPages.path(run)))
        if let model { crumbs.append(("model " + model.text, ExperimentPages.path(run))) }
        let parts = path.split(separator: "/")
        for count in 1..<max(parts.count, 1) {
            let folder = parts.prefix(count).joined(separator: "/")
            crumbs.append((String(parts[count - 1]), page(run.info.id, folder, model: model)))
        }
        let kept: HTML =
            size.map { size -> HTML in
                "\(Format.bytes(size)) · <a href=\"\(download(run, path, model: model))\" download>Download</a>"
            } ?? "a folder"
        return ConsolePage(
            title: parts.last.map(String.init) ?? path, section: .experiments, crumbs: crumbs,
            subtitle: kept, body: preview)
    }

    static func page(_ run: RunID, _ file: String, model: LoggedModelID? = nil) -> String {
        "/console/runs/\(urlEncoded(run.text))/artifact?path=\(urlEncoded(file))" + suffix(model)
    }

    static func page(_ run: Run, _ file: String) -> String { page(run.info.id, file) }

    static func download(_ run: Run, _ file: String, model: LoggedModelID? = nil) -> String {
        ExperimentPages.path(run) + "/file?path=" + urlEncoded(file) + suffix(model)
    }

    private static func suffix(_ model: LoggedModelID?) -> String {
        model.map { "&model=" + urlEncoded($0.text) } ?? ""
    }

    static func picture(_ path: String, source: String, size: Int64) -> HTML {
        guard size <= pictureLimit else {
            return Piece.nothing(
                "Pictures above \(Format.bytes(pictureLimit)) are not shown; download it to look at it.")
        }
        return "<div class=\"panel picture\"><img alt=\"\(path)\" src=\"\(source)\"></div>"
    }

    /// A page that someone logged, in a frame of no origin: it reads nothing here and sends nothing anywhere.
    /// - Parameter source: where its bytes are served with a policy of their own.
    static func framed(_ path: String, source: String, runsScripts: Bool, toggle: String, size: Int64) -> HTML {
        guard size <= pageLimit else {
            return Piece.nothing("Pages above \(Format.bytes(pageLimit)) are not shown; download it to look at it.")
        }
        let choice: HTML =
            runsScripts
            ? "<a class=\"button\" href=\"\(toggle)\">Show without its scripts</a>"
            : "<a class=\"button\" href=\"\(toggle)\">Run its scripts</a>"
        let sandbox: HTML = runsScripts ? "allow-scripts" : ""
        return """
            <div class="bar">\(choice)<span class="soft">It stands apart from the console, and loads nothing from elsewhere.</span></div>\
            <div class="panel flush"><iframe class="page" sandbox="\(sandbox)" src="\(source)" title="\(path)"></iframe></div>
            """
    }

    static func folder(_ entries: [ArtifactEntry], below path: String, run: Run, model: LoggedModelID?) -> HTML {
        let items = entries.prefix(1000).map { entry -> HTML in
            let target = page(run.info.id, path + "/" + entry.path.name, model: model)
            let size = entry.isDirectory ? "folder" : Format.bytes(entry.size ?? 0)
            return
                "<li><a href=\"\(target)\">\(entry.path.name)\(entry.isDirectory ? "/" : "")</a><span class=\"soft\">\(size)</span></li>"
        }
        let more: HTML =
            entries.count > 1000 ? "<p class=\"soft\">The first 1000 of \(entries.count) are listed.</p>" : ""
        return "<div class=\"panel\"><ul class=\"files\">\(items)</ul>\(more)</div>"
    }

    static func table(_ table: TablePreview) -> HTML {
        let numbers = ["INT", "DOUBLE", "FLOAT", "DECIMAL"]
        let names = table.columns.map { column in
            (numbers.contains { column.type.contains($0) } ? "#" : "") + (column.name.isEmpty ? "–" : column.name)
        }
        let rows = table.rows.map { row in
            row.map { value -> HTML in
                value.map { "\(ExperimentPages.short($0, 80))" } ?? "<span class=\"soft\">null</span>"
            }
        }
        var said = table.rowCount.map { "\($0) rows, " } ?? ""
        said += "\(table.columnCount) columns"
        if table.rowCount != Int64(table.rows.count) { said += "; the first \(table.rows.count) rows are shown" }
        if table.columns.count < table.columnCount { said += ", and the first \(table.columns.count) columns" }
        let types = table.columns.map { ($0.name, "<span class=\"mono\">\($0.type)</span>" as HTML) }
        return """
            <p class="soft">\(said).</p>\(Piece.table(names, rows, empty: "no rows"))\
            <details><summary>Types</summary>\(Piece.facts(types))</details>
            """
    }

    static let pictureLimit: Int64 = 32 << 20
    static let pageLimit: Int64 = 16 << 20
    private static let lineLimit = 4000

    /// The kinds of files that are shown by other means than the text in them.
    enum Kind { case picture, page, parquet, text }

    static func kind(_ path: String) -> Kind {
        if pictureType(path) != nil { return .picture }
        return switch ending(path) {
        case "html", "htm": .page
        case "parquet": .parquet
        default: .text
        }
    }

    private static func ending(_ path: String) -> String {
        let name = path.split(separator: "/").last ?? ""
        return name.contains(".") ? name.split(separator: ".").last?.lowercased() ?? "" : ""
    }

    /// - Parameter isCut: the bytes are only the beginning of the file.
    static func of(_ bytes: [UInt8], path: String, isCut: Bool) -> HTML {
        guard !bytes.isEmpty else { return Piece.nothing("The file is empty.") }
        guard let text = text(bytes, isCut: isCut) else {
            return "<div class=\"panel empty\">This file is not text; download it to look at it.</div>"
        }
        let note: HTML = isCut ? "<p class=\"soft\">Only the beginning is shown.</p>" : ""
        let ending = ending(path)
        switch ending {
        case "csv", "tsv":
            let rows = table(text, separator: ending == "csv" ? "," : "\t", limit: 201)
            if rows.count > 1, let first = rows.first, (2...60).contains(first.count) { return "\(drawn(rows))\(note)" }
        case "json" where !isCut:
            guard let value = try? JSONValue.parse(text, allowsNonFinite: true) else { break }
            if let rows = split(value) { return drawn(rows) }
            return numbered(value.text(indent: 2))
        case "md", "markdown":
            return """
                <div class="panel prose">\(Markdown.html(text))</div>\(note)\
                <details><summary>As it was written</summary>\(numbered(text))</details>
                """
        default: break
        }
        if path.split(separator: "/").last == "MLmodel", !isCut, let model = try? ModelDescription(text) {
            return "\(model.html())<h2>File</h2>\(numbered(text))"
        }
        return "\(numbered(text))\(note)"
    }

    /// A text with its lines counted; the numbers are not copied with it.
    static func numbered(_ text: String) -> HTML {
        var lines = text.split(omittingEmptySubsequences: false) { $0.isNewline }
        if lines.last?.isEmpty == true { lines.removeLast() }
        let more: HTML = lines.count > lineLimit ? "<p class=\"soft\">The first \(lineLimit) lines are shown.</p>" : ""
        let shown = lines.prefix(lineLimit).map { line -> HTML in "<span>\(String(line))\n</span>" }
        return "<div class=\"panel\"><pre class=\"mono lines\">\(shown)</pre></div>\(more)"
    }

    /// The tables that MLflow's `log_table` writes: names of columns, and rows of values.
    private static func split(_ value: JSONValue) -> [[String]]? {
        guard let object = value.object, object.keys.sorted() == ["columns", "data"],
            let names = value["columns"]?.array,
            let data = value["data"]?.array, !names.isEmpty, names.count <= 60
        else { return nil }
        func shown(_ value: JSONValue) -> String { value.string ?? (value.isNull ? "" : value.text()) }
        return [names.map(shown)] + data.prefix(201).map { ($0.array ?? []).map(shown) }
    }

    /// `nil` for what is no UTF-8 text. A cut may fall inside a character, which is then left out.
    static func text(_ bytes: [UInt8], isCut: Bool) -> String? {
        for spare in 0...(isCut ? 3 : 0) where spare <= bytes.count {
            if let text = String(validating: bytes.dropLast(spare), as: UTF8.self) {
                return text.contains("\0") ? nil : text
            }
        }
        return nil
    }

    /// Rows of values; a value in double quotes may hold separators and lines, and quotes written twice.
    static func table(_ text: String, separator: Character, limit: Int) -> [[String]] {
        var rows: [[String]] = []
        var row: [String] = []
        var value = ""
        var isQuoted = false
        var wasQuote = false
        for character in text {
            if isQuoted {
                if wasQuote, character == "\"" {
                    value.append(character)
                    wasQuote = false
                    continue
                }
                if character == "\"" {
                    wasQuote = true
                    continue
                }
                if !wasQuote {
                    value.append(character)
                    continue
                }
                isQuoted = false
                wasQuote = false
            }
            if character == "\"", value.isEmpty {
                isQuoted = true
            } else if character == separator {
                row.append(value)
                value = ""
            } else if character.isNewline {
                row.append(value)
                if row.count > 1 || !value.isEmpty { rows.append(row) }
                row = []
                value = ""
                if rows.count == limit { return rows }
            } else {
                value.append(character)
            }
        }
        if !value.isEmpty || !row.isEmpty { rows.append(row + [value]) }
        return rows
    }

    private static func drawn(_ rows: [[String]]) -> HTML {
        let body = Array(rows.dropFirst())
        let names = rows[0].enumerated().map { index, name in
            let isNumeric = body.allSatisfy { $0.count <= index || $0[index].isEmpty || Double($0[index]) != nil }
            // An empty heading would be a column without sorting.
            return (isNumeric ? "#" : "") + (name.isEmpty ? "column \(index + 1)" : name)
        }
        let cells = body.map { row in
            row.prefix(names.count).map { value -> HTML in "\(ExperimentPages.short(value, 80))" }
        }
        let more: HTML = rows.count > 200 ? "<p class=\"soft\">The first 200 rows are shown.</p>" : ""
        return "\(Piece.table(names, cells, empty: "no rows"))\(more)"
    }

    static func pictureType(_ path: String) -> String? {
        switch path.split(separator: ".").last?.lowercased() {
        case "png": "image/png"
        case "jpg", "jpeg": "image/jpeg"
        case "gif": "image/gif"
        case "webp": "image/webp"
        case "svg": "image/svg+xml"
        default: nil
        }
    }
}
