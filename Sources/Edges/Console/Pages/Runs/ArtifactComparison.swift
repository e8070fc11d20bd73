import AerieCore
import Experiments

/// The files of several runs beside each other, and one file of two runs line by line.
enum ArtifactComparison {
    static func table(_ runs: [Run], files: [RunPage.FileList], only: Bool) -> HTML {
        let sizes = files.map { Dictionary($0.files.map { ($0.path, $0.size) }, uniquingKeysWith: { $1 }) }
        var paths = Set(sizes.flatMap(\.keys)).sorted()
        if only {
            paths = paths.filter { path in
                Set(sizes.map { $0[path] }).count > 1 || Set(files.compactMap { $0.digests[path] }).count > 1
            }
        }
        let isCut = files.contains(where: \.isCut) || paths.count > 500
        guard !paths.isEmpty else { return Piece.nothing(only ? "no differences" : "none logged") }
        let rows = paths.prefix(500).map { path -> HTML in
            let found = sizes.map { $0[path] }
            let have = runs.indices.filter { found[$0] != nil }
            let content = content(have.map { (found[$0] ?? 0, files[$0].digests[path]) })
            let state: HTML = """
                \(have.count > 1 ? Piece.pill(content.rawValue, tone: content == .changed ? "run" : nil) : "")\
                \(have.count < runs.count ? Piece.pill("missing", tone: "warn") : "")
                """
            let cells = found.indices.map { index -> HTML in
                guard let size = found[index] else { return "<td class=\"num soft\">–</td>" }
                return
                    "<td class=\"num\"><a href=\"\(ArtifactPreview.page(runs[index].info.id, path))\">\(Format.bytes(size))</a></td>"
            }
            var diff: HTML = ""
            if have.count > 1, ArtifactPreview.kind(path) == .text || ArtifactPreview.kind(path) == .page {
                let pair = [runs[have[0]], runs[have[1]]]
                diff = "<a href=\"\(Self.path(pair.map(\.info.id), path))\" aria-label=\"lines of \(path)\">lines</a>"
            }
            let mark: HTML = have.count < runs.count || content == .changed ? " class=\"differs\"" : ""
            return "<tr\(mark)><td>\(path)</td><td>\(state)</td>\(cells)<td>\(diff)</td></tr>"
        }
        let head = runs.enumerated().map { index, run -> HTML in
            """
            <th class="num"><i class="dot" style="background:var(--c\(index % 8))"></i>\
            \(ExperimentPages.short(ExperimentPages.name(run), 26))</th>
            """
        }
        let more: HTML = isCut ? "<p class=\"soft\">There are more files than are compared here.</p>" : ""
        return """
            <div class="panel flush"><div class="scroll"><table><thead><tr><th>File</th><th>Content</th>\(head)<th>Compare</th></tr>\
            </thead><tbody>\(rows)</tbody></table></div></div>\(more)
            """
    }

    enum Content: String { case same, changed, sameSize = "same size" }

    /// Digests of one kind tell contents apart; without them only sizes do.
    static func content(_ files: [(size: Int64, digest: ContentDigest?)]) -> Content {
        if Set(files.map(\.size)).count > 1 { return .changed }
        let digests = files.compactMap(\.digest)
        let kinds = Dictionary(grouping: Set(digests), by: \.kind)
        if kinds.values.contains(where: { $0.count > 1 }) { return .changed }
        return digests.count == files.count && kinds.count == 1 ? .same : .sameSize
    }

    static func path(_ runs: [RunID], _ file: String) -> String {
        "/console/compare/file?runs=\(urlEncoded(runs.map(\.text).joined(separator: ",")))&path=\(urlEncoded(file))"
    }

    /// - Parameter texts: each file's beginning, `nil` for what is no text.
    static func page(_ runs: [Run], file: String, texts: [String?], isCut: Bool) -> ConsolePage {
        let body: HTML
        if texts.count == 2, let old = texts[0], let new = texts[1] {
            let diff = TextDiff(old, new)
            let coarse: HTML = diff.isCoarse ? "<p class=\"soft\">Too much differs to set line beside line.</p>" : ""
            let cut: HTML = isCut ? "<p class=\"soft\">Only the beginnings are compared.</p>" : ""
            body = "\(coarse)\(cut)\(diff.html())"
        } else {
            body = Piece.nothing("The files are not both text; download them to compare them.")
        }
        let names = runs.map { run -> HTML in Piece.link(ExperimentPages.path(run), ExperimentPages.name(run)) }
        let all = runs.map(\.info.id.text).joined(separator: ",")
        return ConsolePage(
            title: file, section: .experiments,
            crumbs: [
                ("Experiments", "/console/experiments"), ("Compare", "/console/compare?runs=" + urlEncoded(all)),
            ],
            subtitle: "\(names.joined(" → ")): what went is marked −, what came +.", body: body)
    }
}
