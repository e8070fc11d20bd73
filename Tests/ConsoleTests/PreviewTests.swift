import Testing

@testable import Console

@Suite struct PreviewTests {
    @Test("Markdown becomes the markup it means")
    func markdown() {
        let html = Markdown.html(
            """
            # Title

            Some **bold**, *slanted* and `a<b` in snake_case_names.
            - one
              - inner
            - two

            1. first
            > quoted

            | a | b |
            |---|---|
            | 1 | 2 |

            ```python
            x = "<1>"
            ```
            ---
            """
        ).text
        for part in [
            "<h2>Title</h2>", "<strong>bold</strong>", "<em>slanted</em>", "<code>a&lt;b</code>", "snake_case_names.",
            "<ul><li>one</li><li class=\"in\">inner</li><li>two</li></ul>", "<ol><li>first</li></ol>",
            "<blockquote><p>quoted</p></blockquote>", "<th>a</th>", "<td>2</td>", "x = &quot;&lt;1&gt;&quot;", "<hr>",
        ] { #expect(html.contains(part), "\(part)") }
    }

    @Test(
        "nothing in Markdown runs or is fetched",
        arguments: [
            "<script>alert(1)</script>", "[x](javascript:alert(1))", "[x](JaVaScRiPt:alert(1))",
            "[x](data:text/html,1)",
            "![x](javascript:alert(1))", "[x](\tjavascript:alert(1))", "[x](vbscript:1)", "**<img src=x onerror=a>**",
            "[a\"onmouseover=\"b](http://x/\"onclick=\"c)", "| <b> | c |\n|---|---|\n| <i> | [y](javascript:1) |",
            "`</code><b>`",
        ])
    func safeMarkdown(text: String) {
        let html = Markdown.html(text).text
        #expect(!html.contains("<script") && !html.contains("<img") && !html.contains("<b>") && !html.contains("<i>"))
        #expect(!html.contains("href=\"j") && !html.contains("href=\"J") && !html.contains("href=\"d"))
        #expect(!html.contains("href=\"v") && !html.contains("\"onclick=") && !html.contains("\"onmouseover="))
    }

    @Test(
        "what opens and never closes ends, and stays text",
        arguments: ["**a", "[a](b", "`a", "> > > > > > > > > > x", "_", "```"])
    func openMarks(text: String) { #expect(!Markdown.html(text).text.contains("<strong>")) }

    @Test("lines end as any system ends them")
    func lineEnds() {
        let html = Markdown.html("# Card\r\n\r\nUse it\r\n- one\r\n- two\r\n").text
        #expect(html.contains("<h2>Card</h2>") && html.contains("<p>Use it</p>") && html.contains("<li>two</li>"))
    }

    @Test("a web address is a link that says nothing of where it was clicked")
    func links() {
        #expect(
            Markdown.html("[a & b](https://x.example/?a=1&b=2)").text.contains(
                "<a href=\"https://x.example/?a=1&amp;b=2\" rel=\"noopener noreferrer nofollow\">a &amp; b</a>"))
    }

    @Test("a cell of a CSV file is text")
    func cells() {
        let html = ArtifactPreview.of(
            Array("<b>n</b>,y\n\"<script>a</script>\",=1+2\n".utf8), path: "t.csv", isCut: false
        ).text
        #expect(!html.contains("<script>") && !html.contains("<b>n") && html.contains("&lt;script&gt;"))
    }

    @Test("a table of any kind shows its names and values as text")
    func tables() {
        let table = TablePreview(
            columns: [.init(name: "<b>", type: "BIGINT"), .init(name: "x", type: "<i>")],
            rows: [["1", nil], ["2", "<u>"]],
            rowCount: 5, columnCount: 2)
        let html = ArtifactPreview.table(table).text
        #expect(!html.contains("<b>") && !html.contains("<i>") && !html.contains("<u>"))
        #expect(html.contains("null") && html.contains("5 rows, 2 columns; the first 2 rows are shown"))
    }

    @Test("a table that log_table wrote is one")
    func logged() {
        let text = #"{"columns":["q","n"],"data":[["<b>a</b>",1],["c",null]]}"#
        let html = ArtifactPreview.of(Array(text.utf8), path: "e.json", isCut: false).text
        #expect(html.contains("<table") && html.contains("&lt;b&gt;a") && html.contains("<th>q</th>"))
    }

    @Test("a model's description: flavors, signature, example")
    func modelDescription() throws {
        let text = #"""
            flavors:
              python_function:
                loader_module: mlflow.sklearn
                python_version: 3.11.2
              sklearn:
                sklearn_version: 1.5.0
            run_id: abc
            saved_input_example_info:
              artifact_path: input_example.json
            signature:
              inputs: '[{"type": "double", "name": "<b>age", "required": false}]'
              outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1, 2]}}]'
            """#
        let model = try ModelDescription(text)
        #expect(model.flavors.map(\.name) == ["python_function", "sklearn"])
        #expect(model.inputs == [.init(name: "<b>age", type: "double", isRequired: false)])
        #expect(model.outputs?.first?.type == "int64[-1,2]" && model.examplePath == "input_example.json")
        let html = ArtifactPreview.of(Array(text.utf8), path: "model/MLmodel", isCut: false).text
        #expect(html.contains("sklearn 1.5.0") && html.contains("&lt;b&gt;age") && !html.contains("<b>age"))
    }

    @Test("a page someone logged has no origin, and is shown only up to a size")
    func frames() {
        let still = ArtifactPreview.framed("a\".html", source: "/x?a&b", runsScripts: false, toggle: "/t", size: 10)
            .text
        #expect(still.contains("sandbox=\"\" src=\"/x?a&amp;b\" title=\"a&quot;.html\""))
        let lively = ArtifactPreview.framed("a", source: "/x", runsScripts: true, toggle: "/t", size: 10).text
        #expect(lively.contains("sandbox=\"allow-scripts\"") && !lively.contains("allow-same-origin"))
        #expect(
            !ArtifactPreview.framed("a", source: "/x", runsScripts: true, toggle: "/t", size: 1 << 30).text.contains(
                "iframe"))
    }
}
