import AerieCore
import AerieJSON
import AerieResources
import AerieYAML
import Testing

@Suite struct ManifestReaderTests {
    static let reader = ManifestReader(kinds: testKinds)
    static let head = "apiVersion: aerie.dev/v1\nkind: Widget\nmetadata:\n  name: a\nspec:\n"

    struct Wrong: Sendable, CustomTestStringConvertible {
        var text: String
        var field: String
        var line: Int?
        var words: String
        var testDescription: String { field + " " + words }

        init(_ text: String, _ field: String, _ line: Int?, _ words: String) {
            (self.text, self.field, self.line, self.words) = (text, field, line, words)
        }

        static func spec(_ spec: String, _ field: String, _ line: Int, _ words: String) -> Wrong {
            Wrong(head + spec, field, line, words)
        }

        static func metadata(_ metadata: String, _ field: String, _ line: Int, _ words: String) -> Wrong {
            Wrong("apiVersion: aerie.dev/v1\nkind: Widget\nspec: {size: 1}\nmetadata:\n" + metadata, field, line, words)
        }
    }

    static let wrong: [Wrong] = [
        .spec("  sise: 3\n  size: 1", "spec.sise", 6, "did you mean \"size\""),
        .spec("  zzz: 3\n  size: 1", "spec.zzz", 6, "known are size, ratio"),
        .spec("  title: x", "spec.size", 5, "is required"),
        .spec("  size:", "spec.size", 6, "is required and empty"),
        .spec("  size: 11", "spec.size", 6, "at most 10"),
        .spec("  size: 0", "spec.size", 6, "at least 1"),
        .spec("  size: 1.5", "spec.size", 6, "a whole number was expected"),
        .spec("  size: '1'", "spec.size", 6, "the string \"1\" stands there"),
        .spec("  size: 1\n  ratio: 1.2", "spec.ratio", 7, "at most 1.0"),
        .spec("  size: 1\n  ratio: .nan", "spec.ratio", 7, "not NaN"),
        .spec("  size: 1\n  ratio: high", "spec.ratio", 7, "a number was expected"),
        .spec("  size: 1\n  color: grean", "spec.color", 7, "did you mean \"green\""),
        .spec("  size: 1\n  color: 5", "spec.color", 7, "one of red, green, blue"),
        .spec("  size: 1\n  enabled: yes", "spec.enabled", 7, "true or false was expected"),
        .spec("  size: 1\n  title: 5", "spec.title", 7, "write it in quotes"),
        .spec("  size: 1\n  title: [a]", "spec.title", 7, "a list stands there"),
        .spec("  size: 1\n  env: [a]", "spec.env", 7, "a mapping was expected"),
        .spec("  size: 1\n  env:\n    A: x\n    B: 2", "spec.env.B", 9, "a string was expected"),
        .spec("  size: 1\n  parts: {}", "spec.parts", 7, "a list was expected"),
        .spec("  size: 1\n  parts:\n    - name: x\n    - nam: y", "spec.parts[1].nam", 9, "did you mean \"name\""),
        .spec("  size: 1\n  parts:\n    - name: x\n      weight: 90", "spec.parts[0].weight", 9, "add up to 100"),
        .spec("  size: 1\n  parts: [x]", "spec.parts[0]", 7, "a mapping was expected"),
        .spec("  size: 1\n  tree:\n    children:\n      - childen: []", "spec.tree.children[0].childen", 9,
              "did you mean \"children\""),
        .metadata("  labels: {}", "metadata.name", 4, "is required"),
        .metadata("  name: Fraud_Model", "metadata.name", 5, "try \"fraud-model\""),
        .metadata("  name: -a", "metadata.name", 5, "must begin and end with"),
        .metadata("  name: \(String(repeating: "a", count: 254))", "metadata.name", 5, "at most 253"),
        .metadata("  name: a\n  namespace: a.b", "metadata.namespace", 6, "letters"),
        .metadata("  name: a\n  labels:\n    x: 1", "metadata.labels.x", 7, "write it in quotes"),
        .metadata("  name: a\n  labels:\n    x y: z", "metadata.labels.x y", 7, "the key must be"),
        .metadata("  name: a\n  labels:\n    x: a b", "metadata.labels.x", 7, "the value must be"),
        .metadata("  nmae: a", "metadata.nmae", 5, "did you mean \"name\""),
        Wrong("kind: Widget\nmetadata: {name: a}\nspec: {size: 1}", "apiVersion", 1, "is required"),
        Wrong("apiVersion: aerie.dev/v1\nmetadata: {name: a}", "kind", 1, "is required"),
        Wrong("apiVersion: aerie.dev/v1\nkind: Wigdet\nmetadata: {name: a}", "kind", 2, "did you mean \"Widget\""),
        Wrong("apiVersion: aerie.dev/v9\nkind: Widget\nmetadata: {name: a}\nspec: {size: 1}", "apiVersion", 1,
              "write aerie.dev/v1 or aerie.dev/v1beta1"),
        Wrong("apiVersion: aerie.dev/v1\nkind: Widget\nmetadata: a\nspec: {size: 1}", "metadata", 3, "a mapping"),
        Wrong("apiVersion: aerie.dev/v1\nkind: Widget\nmetadata: {name: a}", "spec.size", nil, "is required"),
        Wrong("apiVersion: aerie.dev/v1\nkind: Widget\nmetadata: {name: a}\nspec: 4", "spec", 4, "a mapping"),
        Wrong("apiVersion: aerie.dev/v1\nkind: Widget\nmetadata: {name: a}\nspecs: {}", "specs", 4,
              "did you mean \"spec\""),
        Wrong("- 1", "", 1, "an object with apiVersion"),
        Wrong("", "", nil, "holds no object"),
        Wrong("# nothing\n---\n", "", nil, "holds no object"),
        Wrong("{\"apiVersion\": \"aerie.dev/v1\",\n\"kind\": \"Widget\", "
              + "\"metadata\": {\"name\": \"a\"},\n\"spec\": {\"size\": 99}}",
              "spec.size", 3, "at most 10"),
        Wrong("apiVersion: [", "", 2, "did not find"),
        Wrong(head + "  size: 1\n  size: 2", "size", 6, "written twice"),
        Wrong(head + "  size: 1\n---\n" + head + "  size: 2", "metadata.name", 11, "already, on line 1"),
    ]

    @Test("a wrong manifest is an error at its field and line", arguments: wrong)
    func wrongInput(_ wrong: Wrong) throws {
        let error = #expect(throws: AerieError.self) { try Self.reader.read(wrong.text) }
        #expect(error?.code == .invalidArgument)
        let all = (error?.details ?? []).map { "\($0.line.map(String.init) ?? "-") \($0.field): \($0.problem)" }
        let found = error?.details.first {
            $0.field == wrong.field && "\($0.problem) \(error?.message ?? "")".contains(wrong.words)
        }
        #expect(found != nil, "\(all)")
        if let line = wrong.line, let place = found?.line { #expect(place == line) }
        if wrong.line != nil { #expect(found?.line != nil) }
    }

    @Test("all problems of all documents come in one error, each with its line")
    func allTogether() throws {
        let text = Self.head + "  size: 99\n  colour: red\n---\n" + Self.head.replacing(
            "name: a", with: "name: B") + "  size: x\n"
        let error = #expect(throws: AerieError.self) { try Self.reader.read(text) }
        #expect(error?.details.map(\.line) == [6, 7, 14, 12] || error?.details.map(\.line) == [6, 7, 14, 12].sorted())
        #expect(error?.details.count == 4)
    }

    @Test("a right manifest becomes a resource, and says which fields have no effect")
    func right() throws {
        let text = """
            apiVersion: aerie.dev/v1beta1
            kind: Widget
            metadata:
              name: fraud.model-1
              labels: {app: fraud, example.com/tier: "1"}
              annotations: {note: "any text: at all"}
              resourceVersion: "17"
              uid: x
              creationTimestamp: null
              managedFields: []
              finalizers: [x]
            spec:
              size: 3
              title: old
              explainer: {type: AnchorTabular}
            status: {ready: true}
            """
        let manifest = try #require(try Self.reader.read(text).first)
        #expect(manifest.resource.apiVersion == "aerie.dev/v1")
        #expect(manifest.resource.metadata.labels == ["app": "fraud", "example.com/tier": "1"])
        #expect(manifest.resource.metadata.namespace == "default")
        #expect(manifest.resource.metadata.uid == "" && manifest.resource.status == nil)
        #expect(manifest.version == 17)
        #expect(manifest.warnings == [
            "metadata.finalizers: accepted without effect: Aerie does not use it",
            "spec.explainer: accepted without effect: predictions are not explained yet",
            "spec.title: \"old\" is an old title",
        ])
    }

    @Test("the namespace of the request holds for objects that name none, and contradicts those that name another")
    func namespaces() throws {
        let reader = ManifestReader(kinds: testKinds, namespace: "team")
        #expect(try reader.read(Self.head + "  size: 1").first?.resource.metadata.namespace == "team")
        let text = Self.head.replacing("name: a", with: "name: a\n  namespace: other") + "  size: 1"
        #expect(throws: AerieError.self) { try reader.read(text) }
    }

    @Test("an object that was read can be applied as it is")
    func roundTrip() throws {
        var resource = widget("a", size: 4, labels: ["x": "y"])
        resource.metadata.uid = "u"
        resource.metadata.created = Timestamp(milliseconds: 1_772_368_496_000)
        resource.metadata.resourceVersion = 9
        resource.status = ["x": 1]
        #expect(try Resource(json: resource.json) == resource)
        let again = try #require(try Self.reader.read(YAMLWriter.text(resource.json)).first)
        #expect(again.resource.declaration == resource.declaration)
    }

    @Test("kinds answer to their name, plural and aliases in any case")
    func kindNames() throws {
        for word in ["Widget", "widgets", "WD", "wds", "widget.aerie.dev"] {
            #expect(try testKinds.resolve(word).name == "Widget")
        }
        #expect(try testKinds.resolve("policies").name == "Policy")
        let error = #expect(throws: AerieError.self) { try testKinds.resolve("wigdets") }
        #expect(error?.code == .notFound && error?.message.contains("did you mean \"widgets\"") == true)
    }

    @Test("moments are read as they are written", arguments: [
        0, 951_782_400_000, 1_772_368_496_000, 4_102_444_799_000,
    ] as [Int64])
    func moments(_ milliseconds: Int64) {
        let moment = Timestamp(milliseconds: milliseconds)
        #expect(Timestamp(iso8601: moment.iso8601) == moment)
    }

    @Test("labels are selected by value, by difference and by presence")
    func selectors() throws {
        let labels = ["app": "fraud", "tier": "1"]
        for (text, matches) in [
            ("app=fraud", true), ("app==fraud,tier=1", true), ("app=x", false), ("app!=x", true), ("app!=fraud", false),
            ("tier", true), ("owner", false), ("owner!=x", true), ("", true),
        ] {
            #expect(try LabelSelector(text).matches(labels) == matches, "\(text)")
        }
        for text in ["a=b=c=d", "=x", "a b=/", "x=y z/"] {
            #expect(throws: AerieError.self, "\(text)") { try LabelSelector(text) }
        }
    }

    @Test("a diff shows the changed lines with their surroundings")
    func diff() {
        let old = (1...12).map { "line \($0)\n" }.joined()
        let new = old.replacing("line 6\n", with: "LINE 6\nline 6b\n")
        #expect(UnifiedDiff.text(from: old, to: old, oldName: "a", newName: "b") == "")
        #expect(UnifiedDiff.text(from: old, to: new, oldName: "a", newName: "b") == """
            --- a
            +++ b
            @@ -3,7 +3,8 @@
             line 3
             line 4
             line 5
            -line 6
            +LINE 6
            +line 6b
             line 7
             line 8
             line 9

            """)
        let created = UnifiedDiff.text(from: "", to: "x\ny\n", oldName: "a", newName: "b")
        #expect(created.hasSuffix("@@ -0,0 +1,2 @@\n+x\n+y\n"))
    }
}
