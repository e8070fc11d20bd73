import AerieCore
import Experiments
import Testing

@testable import Console

@Suite struct DiffTests {
    @Test("two texts are set line beside line")
    func lines() {
        let diff = TextDiff("a\nb\nc\nd\n", "a\nx\nc\nd\ne\n")
        #expect(diff.lines == [.same("a"), .removed("b"), .added("x"), .same("c"), .same("d"), .added("e")])
        #expect(!TextDiff("a\nb", "a\r\nb\n").differs)
        #expect(TextDiff("", "a").lines == [.added("a")] && TextDiff("a", "").lines == [.removed("a")])
        #expect(!TextDiff("", "").differs)
    }

    @Test("taken and given lines make each text again, whatever the texts", arguments: 0..<20)
    func whole(seed: Int) {
        var state = UInt64(seed + 1)
        func next(_ limit: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(limit))
        }
        let old = (0..<next(40)).map { _ in "line \(next(6))" }
        let new = (0..<next(40)).map { _ in "line \(next(6))" }
        let diff = TextDiff(old.joined(separator: "\n"), new.joined(separator: "\n"))
        var a: [String] = []
        var b: [String] = []
        for line in diff.lines {
            switch line {
            case .same(let text): (a, b) = (a + [text], b + [text])
            case .removed(let text): a.append(text)
            case .added(let text): b.append(text)
            }
        }
        #expect(a == old && b == new)
    }

    @Test("texts too long to align stand as a whole, and markup in them is text")
    func hostile() {
        let old = (0..<3000).map { "a\($0)" }.joined(separator: "\n")
        let new = (0..<3000).map { "b\($0)" }.joined(separator: "\n")
        let diff = TextDiff(old, new)
        #expect(diff.isCoarse && diff.lines.count == 6000 && diff.html().text.contains("a0"))
        #expect(!TextDiff("<script>", "<b>").html().text.contains("<script>"))
    }

    @Test("files of one size are told apart by what is kept of their content")
    func contents() {
        func file(_ size: Int64, _ kind: String? = nil, _ text: String = "") -> (size: Int64, digest: ContentDigest?) {
            (size, kind.map { ContentDigest(kind: $0, text: text) })
        }
        #expect(ArtifactComparison.content([file(1), file(2)]) == .changed)
        #expect(ArtifactComparison.content([file(1), file(1)]) == .sameSize)
        #expect(ArtifactComparison.content([file(1, "md5", "a"), file(1, "md5", "a")]) == .same)
        #expect(ArtifactComparison.content([file(1, "md5", "a"), file(1, "md5", "b"), file(1)]) == .changed)
        #expect(ArtifactComparison.content([file(1, "md5", "a"), file(1, "sha-256", "b")]) == .sameSize)
        #expect(ArtifactComparison.content([file(1, "md5", "a"), file(1)]) == .sameSize)
    }

    @Test("files of runs are the same, changed or missing by their sizes")
    func files() {
        let runs = ["one", "two"].map { id in
            Run(
                info: RunInfo(
                    id: RunID(id), experimentID: ExperimentID("1"), name: id, userID: "",
                    startTime: Timestamp(milliseconds: 0), artifactURI: ""))
        }
        let lists = [
            RunPage.FileList(files: [("a.txt", 5), ("b.txt", 5), ("<b>.txt", 1)], isCut: false),
            RunPage.FileList(files: [("a.txt", 5), ("b.txt", 6)], isCut: false),
        ]
        let html = ArtifactComparison.table(runs, files: lists, only: false).text
        #expect(html.contains("same size") && html.contains("changed") && html.contains("missing"))
        #expect(!html.contains("<b>.txt") && html.contains("/console/compare/file?runs=one%2Ctwo&amp;path=b.txt"))
        let only = ArtifactComparison.table(runs, files: lists, only: true).text
        #expect(!only.contains("a.txt") && only.contains("b.txt"))
    }

    @Test("a reader's columns are kept in a cookie, and only what is a column comes out of one")
    func cookies() {
        var query = RunsQuery()
        query.columns = ["metrics.a;b", "params.x+y"]
        let cookie = query.columnsCookie(path: "/console/experiments/1")
        #expect(
            cookie.hasPrefix("aerie-columns=metrics.a%3Bb+params.x%2By; Path=/console/experiments/1; Max-Age=31536000"))
        let sent = "other=1; " + cookie.prefix { $0 != ";" }
        #expect(RunsQuery.columns(inCookies: sent) == query.columns)
        #expect(RunsQuery.columns(inCookies: "aerie-columns=evil+params.").isEmpty)
        #expect(RunsQuery().columnsCookie(path: "/x").contains("Max-Age=0"))
        #expect(RunsQuery.columns(inCookies: nil).isEmpty)
    }
}
