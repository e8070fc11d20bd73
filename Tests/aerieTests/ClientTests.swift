import AerieCore
import AerieJSON
import ArgumentParser
import Testing

@testable import aerie

@Suite struct ClientTests {
    @Test("an object is named as KIND, KIND NAME or KIND/NAME")
    func arguments() throws {
        #expect(try ResourceArgument("sdep", nil).path(namespace: "default") == "/api/v1/namespaces/default/sdep")
        #expect(try ResourceArgument("sdep", "fraud").path(namespace: "a") == "/api/v1/namespaces/a/sdep/fraud")
        #expect(try ResourceArgument("sdep/fraud", nil) == ResourceArgument("sdep", "fraud"))
    }

    @Test("words that could change the address are refused", arguments: [
        ("", nil), ("a/b/c", nil), ("a/", nil), ("/a", nil), ("a/b", "c"), ("a", ""), ("a", "../x"), ("a?x", nil),
        ("a", "x y"), ("a", "é"), ("a#", nil), ("a", "x%2f"),
    ] as [(String, String?)])
    func wrongArguments(_ kind: String, _ name: String?) {
        let error = #expect(throws: AerieError.self) { try ResourceArgument(kind, name) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("wrong server addresses are refused", arguments: ["", "ftp://x", "http://", "http://a b", "http://x/?q=1"])
    func wrongServers(_ server: String) {
        let error = #expect(throws: AerieError.self) { try PlatformClient(server: server) }
        #expect(error?.code == .invalidArgument)
    }

    @Test("right server addresses are taken in every usual form")
    func servers() throws {
        #expect(try PlatformClient(server: "127.0.0.1:8080").server == "http://127.0.0.1:8080")
        #expect(try PlatformClient(server: "https://x.example/").server == "https://x.example")
    }

    @Test("a server that is not there is told with its address and the way out")
    func unreachable() async throws {
        let client = try PlatformClient(server: "http://127.0.0.1:1")
        let error = await #expect(throws: AerieError.self) { try await client.get("/healthz") }
        #expect(error?.code == .unavailable)
        #expect(error?.message.contains("http://127.0.0.1:1") == true && error?.message.contains("aerie up") == true)
    }

    @Test("each problem is one line with file, line and field")
    func errorLines() {
        let error = AerieError(
            .invalidArgument, "wrong",
            details: [
                .init(field: "spec.x", problem: "is required", line: 4), .init(field: "", problem: "odd", offset: 7),
            ])
        #expect(ClientOutput.lines(for: error, file: "a.yaml") == [
            "error: a.yaml:4: spec.x: is required", "error: a.yaml:byte 7: odd",
        ])
        #expect(ClientOutput.lines(for: error)[0] == "error: line 4: spec.x: is required")
        #expect(ClientOutput.lines(for: .notFound("there is none")) == ["error: there is none"])
    }

    @Test("tables are aligned, with the kind's own columns")
    func table() {
        let item: JSONValue = [
            "metadata": ["name": "fraud", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"],
            "spec": ["size": 3],
            "status": ["conditions": [["type": "Ready", "status": "True", "message": "up"]]],
        ]
        let text = ResourceTable(columns: [("Size", "spec.size"), ("State", "status.state")])
            .text([item], now: Timestamp(milliseconds: 1_767_225_600_000 + 3 * 3_600_000))
        #expect(text == "NAME    SIZE   STATE   READY   AGE\nfraud   3      -       True    3h\n")
    }

    @Test("what a manifest declares is deleted by kind, namespace and name")
    func deletePaths() throws {
        let text = "kind: A\nmetadata: {name: x}\n---\nkind: B\nmetadata: {name: y, namespace: n}\n"
        let source = ManifestOptions.Source(name: "f", text: text)
        #expect(try DeleteCommand.paths(source, namespace: nil) == [
            "/api/v1/namespaces/default/A/x", "/api/v1/namespaces/n/B/y",
        ])
        #expect(throws: AerieError.self) { try DeleteCommand.paths(source, namespace: "other") }
        #expect(throws: AerieError.self) { try DeleteCommand.paths(.init(name: "f", text: "kind: A"), namespace: nil) }
    }

    @Test("wrong command lines are refused", arguments: [
        ["get"], ["get", "a", "b", "c"], ["get", "a", "-o", "xml"], ["get", "a", "--frob"], ["describe"], ["watch"],
        ["watch", "a", "-o", "yaml"], ["apply", "-f"],
    ])
    func wrongCommandLines(_ words: [String]) {
        let types: [String: any ParsableCommand.Type] = [
            "get": GetCommand.self, "describe": DescribeCommand.self, "watch": WatchCommand.self,
            "apply": ApplyCommand.self,
        ]
        #expect(throws: (any Error).self) { try types[words[0]]?.parse(Array(words.dropFirst())) }
    }
}
