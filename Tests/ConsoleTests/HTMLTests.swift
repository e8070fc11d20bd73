import Testing

@testable import Console

@Suite struct HTMLTests {
    @Test("what a user wrote never becomes markup, in text or in an attribute")
    func escaping() {
        let name = "<script>alert('x')</script>\" onload=\"&"
        let page: HTML = "<a title=\"\(name)\">\(name)</a>"
        #expect(!page.text.contains("<script>"))
        #expect(page.text.count { $0 == "\"" } == 2)
        let text = "&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&quot; onload=&quot;&amp;"
        #expect(page.text == "<a title=\"\(text)\">\(text)</a>")
    }

    @Test("markup within markup is taken as it is, and once")
    func nesting() {
        let inner: HTML = "<b>\("a<b")</b>"
        let page: HTML = "<p>\(inner)\([inner, inner])</p>"
        #expect(page.text == "<p><b>a&lt;b</b><b>a&lt;b</b><b>a&lt;b</b></p>")
        #expect([inner, "x"].joined(", ").text == "<b>a&lt;b</b>, x")
    }

    @Test("addresses keep only what is safe in them", arguments: [
        ("fraud_detector", "fraud_detector"), ("a b/c", "a%20b%2Fc"), ("é\"<", "%C3%A9%22%3C"), ("..", ".."),
    ])
    func addresses(text: String, expected: String) { #expect(urlEncoded(text) == expected) }

    @Test("forms are read as browsers send them", arguments: [
        ("stage=Production", ["stage": "Production"]), ("a=1+2%2B3&b=%26%3D", ["a": "1 2+3", "b": "&="]),
        ("=x&&y&empty=", ["empty": ""]), ("a=1&a=2", ["a": "2"]), ("bad=%zz", ["bad": "%zz"]), ("", [:]),
    ])
    func forms(text: String, expected: [String: String]) { #expect(FormFields.parse(text) == expected) }

    @Test("a table in a file keeps quoted separators, quotes and lines")
    func tables() {
        let text = "a,b\r\n1,\"x, \"\"y\"\"\nz\"\n\n2,\n"
        #expect(ArtifactPreview.table(text, separator: ",", limit: 10) == [["a", "b"], ["1", "x, \"y\"\nz"], ["2", ""]])
        #expect(ArtifactPreview.table(text, separator: ",", limit: 1).count == 1)
    }

    @Test("a preview shows a script as text, and says of bytes that they are none")
    func previews() {
        let script = ArtifactPreview.of(Array("<script>x</script>".utf8), path: "a.html", isCut: false)
        #expect(script.text.contains("&lt;script&gt;") && !script.text.contains("<script>"))
        #expect(ArtifactPreview.of([0xff, 0xfe, 0], path: "a.bin", isCut: false).text.contains("not text"))
        // A cut inside a character of two bytes.
        #expect(ArtifactPreview.of(Array("né".utf8.dropLast()), path: "a.txt", isCut: true).text.contains("<span>n\n</span>"))
        #expect(ArtifactPreview.of(Array("{\"a\":[1]}".utf8), path: "a.json", isCut: false).text.contains("&quot;a&quot;: ["))
    }
}
