import AerieCore
import Experiments
import Registry

/// Versions of a model beside each other: where they stand, what they measure, take, give and hold.
enum VersionComparison {
    struct Item {
        var version: ModelVersion
        var run: Run?
        var description: ModelDescription?
        var files: RunPage.FileList
    }

    static func page(_ items: [Item], name: String) -> ConsolePage {
        func pairs(_ values: [(String, String)]) -> [String: String] { Dictionary(values, uniquingKeysWith: { $1 }) }
        let standing = items.map { item -> [String: String] in
            [
                "stage": item.version.stage.rawValue,
                "aliases": item.version.aliases.map { "@" + $0 }.joined(separator: " "),
                "registered": Format.time(item.version.creationTime), "registered by": item.version.userID,
                "run": item.run.map(ExperimentPages.name) ?? "–", "description": item.version.description,
            ]
        }
        let sections: [(String, [[String: String]])] = [
            ("Where they stand", standing),
            ("Metrics", items.map { pairs(($0.run?.metrics ?? []).map { ($0.key, Format.number($0.value)) }) }),
            ("Parameters", items.map { pairs(($0.run?.params ?? []).map { ($0.key, $0.value) }) }),
            (
                "Tags",
                items.map { pairs($0.version.tags.filter { !$0.key.hasPrefix("mlflow.") }.map { ($0.key, $0.value) }) }
            ),
            ("Signature", items.map { signature($0.description) }),
            ("Files", items.map { pairs(files($0.files)) }),
        ]
        let body = sections.map { title, values -> HTML in "<h2>\(title)</h2>\(table(items, values))" }
        return ConsolePage(
            title: "Compare versions of \(name)", section: .models,
            crumbs: [("Models", "/console/models"), (name, ModelPages.path(name))],
            subtitle: "Rows whose values differ are marked at the left.", body: "\(body)")
    }

    /// Sizes, with the beginnings of the digests where sizes alone would not tell contents apart.
    private static func files(_ list: RunPage.FileList) -> [(String, String)] {
        list.files.map { file in
            let digest = list.digests[file.path].map { " · \($0.text.prefix(8))" } ?? ""
            return (file.path, Format.bytes(file.size) + digest)
        }
    }

    private static func signature(_ description: ModelDescription?) -> [String: String] {
        guard let description else { return [:] }
        var rows: [String: String] = [:]
        let parts = [
            ("input", description.inputs ?? []), ("output", description.outputs ?? []),
            ("parameter", description.params),
        ]
        for (kind, fields) in parts {
            for field in fields.prefix(300) {
                rows["\(kind) \(field.name)"] = field.type + (field.isRequired ? "" : ", optional")
            }
        }
        return rows
    }

    private static func table(_ items: [Item], _ values: [[String: String]]) -> HTML {
        let keys = Set(values.flatMap(\.keys)).sorted().prefix(400)
        guard !keys.isEmpty else { return Piece.nothing("none") }
        let head = items.map { item -> HTML in
            "<th class=\"num\"><a href=\"\(VersionPage.path(item.version.key))\">version \(item.version.version)</a></th>"
        }
        let rows = keys.map { key -> HTML in
            let found = values.map { $0[key] }
            let mark: HTML = Set(found).count > 1 ? " class=\"differs\"" : ""
            let cells = found.map { value -> HTML in
                "<td class=\"num\" title=\"\(value ?? "")\">\(ExperimentPages.short(value ?? "–", 60))</td>"
            }
            return "<tr\(mark)><td title=\"\(key)\">\(key)</td>\(cells)</tr>"
        }
        return """
            <div class="panel flush"><div class="scroll"><table class="beside"><thead><tr><th></th>\(head)</tr></thead><tbody>\(rows)</tbody>\
            </table></div></div>
            """
    }
}
