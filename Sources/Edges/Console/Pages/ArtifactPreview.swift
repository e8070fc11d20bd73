import AerieJSON
import Experiments

/// A file as a person wants to look at it: a picture as a picture, a table as a table, JSON in order. Whatever a text
/// holds, it shows as text and runs nothing.
enum ArtifactPreview {
    static func page(run: Run, path: String, preview: HTML, size: Int64, model: LoggedModelID?) -> ConsolePage {
        ConsolePage(
            title: path, section: .experiments,
            crumbs: [("Experiments", "/console/experiments"), (ExperimentPages.name(run), ExperimentPages.path(run))],
            subtitle: "\(Format.bytes(size)) · <a href=\"\(download(run, path, model: model))\" download>Download</a>",
            body: preview)
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

    static func picture(_ path: String, source: String) -> HTML {
        "<div class=\"panel picture\"><img alt=\"\(path)\" src=\"\(source)\"></div>"
    }

    /// - Parameter isCut: the bytes are only the beginning of the file.
    static func of(_ bytes: [UInt8], path: String, isCut: Bool) -> HTML {
        guard let text = text(bytes, isCut: isCut) else {
            return "<div class=\"panel empty\">This file is not text; download it to look at it.</div>"
        }
        let note: HTML = isCut ? "<p class=\"soft\">Only the beginning is shown.</p>" : ""
        let ending = path.split(separator: ".").last?.lowercased() ?? ""
        if ending == "csv" || ending == "tsv" {
            let rows = table(text, separator: ending == "csv" ? "," : "\t", limit: 201)
            if rows.count > 1, let first = rows.first, (2...60).contains(first.count) { return "\(drawn(rows))\(note)" }
        }
        var shown = text
        if ending == "json", !isCut, let value = try? JSONValue.parse(text) { shown = value.text(indent: 2) }
        return "<div class=\"panel\"><pre class=\"mono\">\(shown)</pre></div>\(note)"
    }

    /// `nil` for what is no UTF-8 text. A cut may fall inside a character, which is then left out.
    private static func text(_ bytes: [UInt8], isCut: Bool) -> String? {
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
