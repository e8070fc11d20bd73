import AerieCore
import AerieJSON
import AerieResources
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import NIOCore
import PlatformAPI
import Testing

@Suite struct PlatformRoutesTests {
    @Test("objects are applied, read, listed, compared and deleted")
    func lifeCycle() async throws {
        let fixture = try PlatformFixture()
        try await fixture.application().test(.router) { client in
            let text = PlatformFixture.gadget("a") + "---\n" + PlatformFixture.gadget("b", size: 2) + "  replicas: 3\n"
            let (tried, dry) = try await client.send(.post, "/api/v1/apply?dryRun=true", text)
            #expect(tried == 200 && dry["items"]?[0]?["outcome"] == "created")
            #expect(try await client.send(.get, "/api/v1/namespaces/default/gadgets").1["items"]?.array?.count == 0)

            let (status, applied) = try await client.send(.post, "/api/v1/apply", text)
            #expect(status == 200)
            #expect(applied["items"]?[1]?["warnings"]?[0] == "spec.replicas: accepted without effect: one is run")
            let again = try await client.send(.post, "/api/v1/apply", text).1
            #expect(again["items"]?.array?.map { $0["outcome"]?.string } == ["unchanged", "unchanged"])
            let changed = try await client.send(.post, "/api/v1/diff", PlatformFixture.gadget("a", size: 5)).1
            #expect(changed["items"]?[0]?["diff"]?.string?.contains("-  size: 1\n+  size: 5\n") == true)
            #expect(try await client.send(.post, "/api/v1/diff", text).1["items"]?[0]?["diff"] == "")

            let (found, object) = try await client.send(.get, "/api/v1/namespaces/default/gd/b")
            #expect(found == 200 && object["spec"]?["size"] == 2 && object["metadata"]?["generation"] == 1)
            #expect(try await client.send(.get, "/api/v1/namespaces/-/Gadget").1["items"]?.array?.count == 2)
            let history = try await client.send(.get, "/api/v1/namespaces/default/gadget/b/audit").1
            #expect(history["entries"]?[0]?["actor"] == "ann" && history["entries"]?[0]?["action"] == "create")
            #expect(try await client.send(.delete, "/api/v1/namespaces/default/gadget/b").0 == 200)
            #expect(try await client.send(.get, "/api/v1/namespaces/default/gadget/b").0 == 404)
            #expect(try await client.send(.get, "/api/v1/kinds").1["kinds"]?[0]?["columns"]?[0]?["path"] == "spec.size")
        }
    }

    @Test("one wrong document keeps every document of the text from being written")
    func allOrNothing() async throws {
        let fixture = try PlatformFixture()
        try await fixture.application().test(.router) { client in
            let text = PlatformFixture.gadget("a") + "---\n" + PlatformFixture.gadget("b", size: 99)
            let (status, body) = try await client.send(.post, "/api/v1/apply", text)
            #expect(status == 400)
            #expect(body["error"]?["code"] == "invalidArgument")
            #expect(
                body["error"]?["details"]?[0]?["field"] == "spec.size" && body["error"]?["details"]?[0]?["line"] == 13)
            #expect(try await client.send(.get, "/api/v1/namespaces/default/gadget").1["items"]?.array?.isEmpty == true)
        }
    }

    @Test("writing by address respects the version that was read")
    func versions() async throws {
        let fixture = try PlatformFixture()
        try await fixture.application().test(.router) { client in
            let path = "/api/v1/namespaces/default/gadget"
            let (created, object) = try await client.send(.post, path, PlatformFixture.gadget("a"))
            #expect(created == 201)
            #expect(try await client.send(.post, path, PlatformFixture.gadget("a", size: 2)).0 == 409)
            #expect(try await client.send(.put, path + "/a", PlatformFixture.gadget("a", size: 3)).0 == 200)
            let (stale, body) = try await client.send(.put, path + "/a", object.text())
            #expect(stale == 409 && body["error"]?["reason"] == "resource.version")
            #expect(try await client.send(.put, path + "/new", PlatformFixture.gadget("new")).0 == 201)
        }
    }

    @Test("a wrong request is answered with its status and a JSON error", arguments: [
        ("GET", "/api/v1/nothing", nil, 404, "notFound"), ("GET", "/nowhere", nil, 404, "notFound"),
        ("GET", "/api/v1/namespaces/default/gadgat", nil, 404, "notFound"),
        ("GET", "/api/v1/namespaces/default/gadget/none", nil, 404, "notFound"),
        ("GET", "/api/v1/namespaces/-bad/gadget", nil, 400, "invalidArgument"),
        ("GET", "/api/v1/namespaces/-/gadget/a", nil, 400, "invalidArgument"),
        ("GET", "/api/v1/namespaces/default/gadget?labelSelector=a=b=c=d", nil, 400, "invalidArgument"),
        ("GET", "/api/v1/namespaces/default/gadget?watch=maybe", nil, 400, "invalidArgument"),
        ("GET", "/api/v1/namespaces/default/gadget?watch=true&resourceVersion=x", nil, 400, "invalidArgument"),
        ("POST", "/api/v1/apply", "", 400, "invalidArgument"), (
            "POST", "/api/v1/apply", "a: [", 400, "invalidArgument"),
        ("POST", "/api/v1/apply?dryRun=perhaps", "a: 1", 400, "invalidArgument"),
        ("POST", "/api/v1/apply?folder=here", PlatformFixture.gadget("a"), 400, "invalidArgument"),
        ("POST", "/api/v1/apply?namespace=a.b", PlatformFixture.gadget("a"), 400, "invalidArgument"),
        ("POST", "/api/v1/apply", "\u{0}", 400, "invalidArgument"),
        ("POST", "/api/v1/diff", "kind: 5", 400, "invalidArgument"),
        ("POST", "/api/v1/namespaces/default/note", PlatformFixture.gadget("a"), 400, "invalidArgument"),
        ("PUT", "/api/v1/namespaces/default/gadget/b", PlatformFixture.gadget("a"), 400, "invalidArgument"),
        ("PUT", "/api/v1/namespaces/team/gadget/a",
         PlatformFixture.gadget("a").replacing("name: a", with: "name: a\n  namespace: x"), 400, "invalidArgument"),
        ("DELETE", "/api/v1/namespaces/default/gadget/none", nil, 404, "notFound"),
        ("POST", "/api/v1/apply", String(repeating: "# long\n", count: 700_000), 413, "resourceExhausted"),
    ] as [(String, String, String?, Int, String)])
    func wrongRequests(_ method: String, _ path: String, _ body: String?, _ status: Int, _ code: String) async throws {
        let fixture = try PlatformFixture()
        let verb = try #require(HTTPRequest.Method(method))
        try await fixture.application().test(.router) { client in
            let (answered, error) = try await client.send(verb, path, body)
            #expect(answered == status)
            #expect(error["error"]?["code"]?.string == code)
            #expect(error["error"]?["message"]?.string?.isEmpty == false)
        }
    }

    @Test("health, readiness and metrics are there for whoever runs the process")
    func health() async throws {
        let fixture = try PlatformFixture()
        let checks = [ReadinessCheck("store") { nil }, ReadinessCheck("models") { "still loading" }]
        try await fixture.application(readiness: checks).test(.router) { client in
            try await client.execute(uri: "/healthz", method: .get) { #expect($0.status == .ok) }
            try await client.execute(uri: "/readyz", method: .get) { response in
                #expect(response.status == .serviceUnavailable)
                #expect(String(buffer: response.body) == "models: still loading\n")
            }
            try await client.execute(uri: "/metrics", method: .get) { response in
                #expect(response.headers[.contentType]?.hasPrefix("text/plain; version=0.0.4") == true)
                #expect(String(buffer: response.body).contains("up 1"))
            }
        }
    }

    @Test("a watch begins with what is there, tells every change, and ends when the server shuts down")
    func watching() async throws {
        let fixture = try PlatformFixture()
        let service = fixture.service
        _ = try await service.apply(PlatformFixture.gadget("a"), actor: "x")
        try await fixture.application().test(.live) { client in
            let port = try #require(client.port)
            var lines = WatchClient.lines("/api/v1/namespaces/default/gadget?watch=true", port: port).makeAsyncIterator()
            var events = [try JSONValue.parse(try #require(await lines.next()))]
            _ = try await service.apply(PlatformFixture.gadget("a", size: 2), actor: "x")
            events.append(try JSONValue.parse(try #require(await lines.next())))
            _ = try await service.apply(PlatformFixture.gadget("b"), actor: "x")
            events.append(try JSONValue.parse(try #require(await lines.next())))
            _ = try await service.delete(ResourceKey(kind: "Gadget", name: "a"), actor: "x")
            events.append(try JSONValue.parse(try #require(await lines.next())))
            service.endWatches()
            #expect(await lines.next() == nil)
            #expect(events.map { $0["type"]?.string } == ["ADDED", "MODIFIED", "ADDED", "DELETED"])
            #expect(events.map { $0["object"]?["metadata"]?["name"]?.string } == ["a", "a", "b", "a"])
        }
    }
}
