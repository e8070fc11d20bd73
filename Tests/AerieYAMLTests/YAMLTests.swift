import AerieCore
import AerieJSON
import AerieYAML
import Testing

@Suite struct YAMLTests {
    @Test("scalars follow YAML 1.2's core schema", arguments: [
        ("yes", .string("yes")), ("on", .string("on")), ("true", .bool(true)), ("~", .null), ("1", .int(1)),
        ("0x1F", .int(31)), ("0o17", .int(15)), ("1e3", .double(1000)), (".5", .double(0.5)), ("'1'", .string("1")),
        ("1.2.3", .string("1.2.3")), ("2026-01-01", .string("2026-01-01")), ("12:30", .string("12:30")),
        ("1_000", .string("1_000")), ("0x", .string("0x")), ("-", .array([.null])), (".inf", .double(.infinity)),
        ("+5", .int(5)), ("e5", .string("e5")), ("0x-1", .string("0x-1")),
    ] as [(String, JSONValue)])
    func scalars(_ text: String, _ value: JSONValue) throws {
        #expect(try YAMLDocument.parseAll("v: \(text == "-" ? "\n  -" : text)").first?.value["v"] == value)
    }

    @Test("every field knows its line, also in a later document")
    func lines() throws {
        let documents = try YAMLDocument.parseAll("a: 1\n---\nb:\n  - c: 2\n    d: 3\n  - x.y/z: 4\n")
        #expect(documents.count == 2)
        #expect(documents[1].line(of: "b[0].d") == 5)
        #expect(documents[1].line(of: "b[1].x.y/z") == 6)
        #expect(documents[1].line(of: "b[0].missing") == 4)
        #expect(documents[1].line(of: "nothing") == 3)
    }

    @Test("wrong YAML is an error with its line", arguments: [
        ("a: [1, 2", 1), ("a: 1\nb: {x: 1\n", 3), ("a: 1\n\tb: 2", 2), ("a: 1\na: 2", 2), ("x:\n  a: 1\n  a: 2\n", 3),
        ("a: *nothing", 1), ("a: 'open\n", 2), ("a: 1\n---\nb: ]\n", 3), ("- a\nb: 1", 2), ("a: \"\\q\"", 1),
        ("? [1, 2]\n: x", 1), ("a: &x [*x]", 1), ("%YAML 9\n---\n[", nil),
    ] as [(String, Int?)])
    func malformed(_ text: String, _ line: Int?) throws {
        let error = #expect(throws: AerieError.self) { try YAMLDocument.parseAll(text) }
        #expect(error?.code == .invalidArgument)
        if let line { #expect(abs((error?.details.first?.line ?? -9) - line) <= 1, "\(String(describing: error))") }
    }

    @Test("a document that expands without end is refused, not expanded")
    func expansion() throws {
        var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        for level in 1...8 {
            text += "a\(level): &a\(level) [" + (0..<10).map { _ in "*a\(level - 1)" }.joined(separator: ", ") + "]\n"
        }
        let error = #expect(throws: AerieError.self) { try YAMLDocument.parseAll(text) }
        #expect(error?.code == .resourceExhausted)
    }

    @Test("deep nesting is an error, not a crash")
    func depth() throws {
        #expect(throws: AerieError.self) { try YAMLDocument.parseAll(String(repeating: "[", count: 100_000)) }
        #expect(throws: AerieError.self) { try YAMLDocument.parseAll(String(repeating: "- ", count: 100_000)) }
    }

    @Test("a text cut anywhere reads or is an error; it never crashes")
    func truncation() throws {
        let text = "a: &x {b: [1, 'two', \"thr\\u0065e\"]}\nc: *x\nd: |\n  text\n  more\n---\n- é\n"
        for end in text.indices {
            do { _ = try YAMLDocument.parseAll(String(text[..<end])) } catch { #expect(error.code == .invalidArgument) }
        }
    }

    @Test("what the writer writes reads back as the same value")
    func roundTrip() throws {
        let strings = [
            "", "true", "no", "Null", "1", "1.5", "-", "- a", "a: b", "a:", ":a", "a #b", "#", "line\nline", "line\n",
            "\n",
            " lead", "trail ", "tab\there", "é😀", "{}", "[a]", "*a", "&a", "!t", "%d", "@x", "`x", "'q'", "\"q\"",
            "~", "y",
            "a\\b", "0x1", "2026-01-01", "/models/x", "s3://b/k?x=1&y=2",
            "a\n\nb", "a \nb", "  a\nb", "\u{7f}", "\u{1}",
            "x\u{feff}y", "a\r\nb", "\u{85}", "\u{2028}", ".inf", "1e3", "x'y",
            "long " + String(
                repeating: "w ", count: 200) + "e",
            "---", "...", "a\n---\nb", "=", "<<", "a,b", "a]b", "\ttab", "a\n\n", "| x", "> y", "a\n\tb",
        ]
        var object = JSONObject(strings.enumerated().map { ("k\($0.offset)", .string($0.element)) })
        for (index, string) in strings.enumerated() where !string.isEmpty {
            object["key \(index) \(string)"] = .int(Int64(index))
        }
        let value: JSONValue = [
            "strings": .object(object), "list": .array(
                strings.map { .string($0) }), "empty": [:], "none": [], "null": nil,
            "nested": [["a": [1, 2, ["b": [[3], []]]], "c": 1.5], [[true]], [:], "x"], "big": .int(.min),
        ]
        let text = YAMLWriter.text(value)
        let documents = try YAMLDocument.parseAll(text)
        #expect(documents.count == 1)
        for member in object.members {
            #expect(documents[0].value["strings"]?[member.key] == member.value, "\(member.key.debugDescription)")
        }
        for (index, string) in strings.enumerated() {
            #expect(documents[0].value["list"]?[index] == .string(string), "\(string.debugDescription)")
        }
        #expect(documents[0].value == value)
    }

    @Test("the writer's form is the one that people write")
    func form() {
        let value: JSONValue = ["kind": "X", "list": [["name": "a", "size": 1], "b"], "text": "one\ntwo\n", "none": []]
        #expect(YAMLWriter.text(value) == """
            kind: X
            list:
              - name: a
                size: 1
              - b
            text: |
              one
              two
            none: []

            """)
    }
}
