import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features
import Foundation
import StoreDuckDB
import StoreLMDB
import StoreSQLite
import Testing

@testable import FeastAPI

/// A registry over real stores in a folder of its own, gone with it.
private final class RegistryUnderTest {
    let folder = NSTemporaryDirectory() + "aerie-feast-" + IdentifierSource.system.hex32()
    let clock = ManualClock(Timestamp(milliseconds: 1_000_000))
    let resources: ResourceService
    let documents: SQLiteDefinitionDocumentStore
    let registry: FeastRegistry

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let database = try MetadataDatabase(
            path: folder + "/metadata.db",
            migrations: SQLiteResourceStore.migrations + SQLiteDefinitionDocumentStore.migrations)
        resources = ResourceService(
            store: SQLiteResourceStore(database: database),
            kinds: KindRegistry([EntityKind(), FeatureViewKind(), FeatureServiceKind()]), guards: [FeatureUse()])
        documents = SQLiteDefinitionDocumentStore(database)
        let store = FeatureStore(
            resources: resources, online: try LMDBOnlineStore(path: folder + "/online.mdb", mapSize: 1 << 20),
            engine: { () throws(AerieError) in DuckDBEngine() })
        registry = FeastRegistry(resources: resources, store: store, documents: documents, clock: clock)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }
}

private func message(_ build: (inout ProtobufMessage) -> Void) -> ProtobufMessage {
    var message = ProtobufMessage()
    build(&message)
    return message
}

private func object(_ kind: FeastKind, spec: ProtobufMessage) -> FeastObject {
    FeastObject(kind, message: message { $0.set(1, message: spec) })
}

/// A view of one feature, with a field that no version of Feast has.
private func view(_ name: String, source: String = "s", path: String = "/d/x.parquet", type: UInt64 = 4) -> FeastObject {
    object(.featureView, spec: message { spec in
        spec.set(1, text: name)
        spec.append(3, text: "driver")
        spec.append(4, message: message { $0.set(1, text: "trips"); $0.set(2, number: type) })
        spec.set(6, message: FeastTime.message(micros: 86_400_000_000))
        spec.set(7, message: message { source_ in
            source_.set(1, number: 1)
            source_.set(3, text: "ts")
            source_.set(11, message: message { $0.set(2, text: path) })
            source_.set(20, text: source)
        })
        spec.set(8, number: 1)
        spec.set(999, text: "from a later version")
    })
}

private func service(_ name: String, _ view: String) -> FeastObject {
    object(.featureService, spec: message { spec in
        spec.set(1, text: name)
        spec.append(3, message: message { projection in
            projection.set(1, text: view)
            projection.append(2, message: message { $0.set(1, text: "trips"); $0.set(2, number: 4) })
        })
    })
}

private func error(_ body: () async throws(AerieError) -> Void) async -> AerieError? {
    do throws(AerieError) {
        try await body()
        return nil
    } catch { return error }
}

@Suite("Feast's registry")
struct FeastRegistryTests {
    @Test("keeps what it does not know, stamps the times, and makes a resource of it")
    func apply() async throws {
        let test = try RegistryUnderTest()
        try await test.registry.apply(view("trips_view"), project: "team_A")
        test.clock.advance(milliseconds: 5000)
        try await test.registry.apply(view("trips_view", path: "/d/y.parquet"), project: "team_A")
        let found = try await test.registry.get(.featureView, "trips_view", project: "team_A")
        #expect(found.spec.text(999) == "from a later version" && found.project == "team_A")
        #expect(found.created == Timestamp(milliseconds: 1_000_000))
        #expect(found.updated == Timestamp(milliseconds: 1_005_000))
        let key = ResourceKey(kind: "FeatureView", namespace: "team_A", name: "trips_view")
        let spec = try await test.resources.get(key).spec
        #expect(spec["ttl"] == "86400s" && spec["source"]?["path"] == "/d/y.parquet")
        #expect(spec["source"]?["timestampField"] == "ts" && spec["features"]?[0]?["dtype"] == "INT64")
        #expect(try await test.registry.entries(.project, project: "").map(\.object.name) == ["team_A"])
        #expect(try await test.registry.entry(.featureView, "trips_view", project: "default") == nil)
    }

    @Test("shows what was declared as YAML, and what of it was changed after a client wrote it")
    func declared() async throws {
        let test = try RegistryUnderTest()
        let yaml = """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: stats}
            spec:
              entities: [driver]
              pushSource: stats_push
              source: {type: parquet, path: /d/s.parquet, timestampField: at}
              features: [{name: rate, dtype: FLOAT, default: 0.5, description: share}]
            """
        _ = try await test.resources.apply(yaml, actor: "test")
        var seen = try await test.registry.get(.featureView, "stats", project: "default")
        #expect(try seen.entityNames == ["driver"] && seen.sourceNames() == ["stats_source", "stats_push"])
        #expect(try seen.spec.messages(4).map { "\($0.text(1)) \($0.number(2)) \($0.text(4))" } == ["rate 6 share"])
        let sources = try await test.registry.entries(.dataSource, project: "default").map(\.object.name)
        #expect(sources == ["stats_push", "stats_source"])
        // A client changes what it read; the default, for which Feast has no place, stays.
        var spec = seen.spec
        spec.set(10, text: "by a client")
        seen.spec = spec
        try await test.registry.apply(seen, project: "default")
        let key = ResourceKey(kind: "FeatureView", name: "stats")
        let resource = try await test.resources.get(key)
        #expect(resource.spec["features"]?[0]?["default"] == 0.5 && resource.spec["description"] == "by a client")
        _ = try await test.resources.apply(yaml.replacing("share", with: "part"), actor: "test")
        seen = try await test.registry.get(.featureView, "stats", project: "default")
        #expect(try seen.spec.messages(4).map { $0.text(4) } == ["part"] && seen.spec.text(10) == "")
        _ = try await test.resources.delete(key, actor: "test")
        #expect(try await test.registry.entry(.featureView, "stats", project: "default") == nil)
    }

    @Test("what is not carried out is kept and says why")
    func kept() async throws {
        let test = try RegistryUnderTest()
        var transformed = view("python_view")
        var spec = transformed.spec
        spec.set(16, text: "pandas")
        transformed.spec = spec
        try await test.registry.apply(transformed, project: "p")
        try await test.registry.apply(view("maps", type: 99), project: "p")
        #expect(try await test.registry.entries(.featureView, project: "p").map(\.object.name) == ["maps", "python_view"])
        #expect(try await test.resources.list(kind: "FeatureView").isEmpty)
        let problems = try await test.documents.list(project: "p", kind: "FeatureView").map(\.problem)
        #expect(problems[0].contains("number 99") && problems[1].contains("function over its source"))
        // A view that is carried out stays, until its client says that it is to go.
        try await test.registry.apply(view("python_view"), project: "p")
        let before = try await test.resources.list(kind: "FeatureView")
        let refused = await error { () throws(AerieError) in
            try await test.registry.apply(transformed, project: "p")
        }
        #expect(refused?.code == .invalidArgument && refused?.message.contains("'python_view' stays as it was") == true)
        let after = try await test.resources.list(kind: "FeatureView")
        #expect(before.count == 1 && after == before)
        try await test.registry.delete([.featureView], "python_view", project: "p")
        try await test.registry.apply(transformed, project: "p")
        #expect(try await test.resources.list(kind: "FeatureView").isEmpty)
    }

    @Test("a dry run reports what the import then does, and changes nothing")
    func foretelling() async throws {
        let test = try RegistryUnderTest()
        try await test.registry.apply(view("there"), project: "p")
        try await test.registry.apply(view("empty"), project: "p")
        var registry = ProtobufMessage()
        var empty = view("empty")
        empty.spec.set(4, nil)
        let objects = [
            view("there", path: "/d/y.parquet", type: 0), empty, view("a:b"), view("no name"), view("new"), service("all", "new"),
            service("none", "nobody"),
        ]
        for var object in objects {
            object.project = "p"
            registry.append(try #require(object.kind.registryField), message: object.message)
        }
        let seen = try await test.registry.whole().bytes
        let dry = try await test.registry.bringOver(registry.bytes, isDryRun: true)
        #expect(try await test.registry.whole().bytes == seen)
        let real = try await test.registry.bringOver(registry.bytes)
        #expect(dry.problems == real.problems)
        for words in ["'there' stays as it was", "'empty' stays as it was", "must not contain ':'", "no name"] {
            #expect(dry.problems.contains { $0.contains(words) }, "\(words): \(dry.problems)")
        }
        let old = try await test.registry.get(.featureView, "there", project: "p")
        #expect(try old.spec.message(7)?.message(11)?.text(2) == "/d/x.parquet")
        #expect(try await test.registry.entry(.featureView, "new", project: "p")?.resource != nil)
    }

    @Test("names of views are unique across their kinds")
    func conflicts() async throws {
        let test = try RegistryUnderTest()
        try await test.registry.apply(view("v"), project: "p")
        let other = object(.onDemandFeatureView, spec: message { $0.set(1, text: "v") })
        let refused = await error { () throws(AerieError) in try await test.registry.apply(other, project: "p") }
        #expect(refused.map { FeastFailure($0).type } == "ConflictingFeatureViewNames")
        try await test.registry.apply(other, project: "q")
    }

    @Test("what is in use is not deleted at once, and all of it is with one Commit")
    func deletion() async throws {
        let test = try RegistryUnderTest()
        let registry = test.registry
        let source = FeastObject(.dataSource, message: message { $0.set(20, text: "s") })
        let entity = object(.entity, spec: message { $0.set(1, text: "driver"); $0.set(4, text: "driver_id") })
        for one in [source, view("v"), entity, service("s", "v")] { try await registry.apply(one, project: "p") }
        for (kind, name) in [(FeastKind.dataSource, "s"), (.entity, "driver"), (.featureView, "v")] {
            let refused = await error { () throws(AerieError) in
                try await registry.change(
                    .delete([kind], name: name, project: "p"), isCommitted: true, connection: 1)
            }
            #expect(refused?.code == .failedPrecondition, "\(name)")
            try await registry.change(.delete([kind], name: name, project: "p"), isCommitted: false, connection: 1)
        }
        // Another client's Commit is its own affair; this one's cannot be carried out yet, and is given up.
        try await registry.commit(connection: 2)
        let refused = await error { () throws(AerieError) in try await registry.commit(connection: 1) }
        #expect(refused?.code == .failedPrecondition)
        try await registry.commit(connection: 1)
        #expect(try await registry.entries(.entity, project: "p").count == 1)
        for (kind, name) in [
            (FeastKind.dataSource, "s"), (.entity, "driver"), (.featureView, "v"), (.featureService, "s"),
        ] {
            try await registry.change(.delete([kind], name: name, project: "p"), isCommitted: false, connection: 1)
        }
        try await registry.commit(connection: 1)
        for kind in [FeastKind.dataSource, .entity, .featureView, .featureService] {
            #expect(try await registry.entries(kind, project: "p").isEmpty)
        }
        let missing = await error { () throws(AerieError) in try await registry.delete([.entity], "driver", project: "p") }
        #expect(missing.map { FeastFailure($0).type } == "EntityNotFoundException")
    }

    @Test("intervals that were materialized are kept when the view is applied again")
    func materializations() async throws {
        let test = try RegistryUnderTest()
        try await test.registry.apply(view("v"), project: "p")
        try await test.registry.materialized(view: "v", from: 1_000_000, to: 2_500_000, project: "p")
        let key = ResourceKey(kind: "FeatureView", namespace: "p", name: "v")
        let resource = try await test.resources.get(key)
        try await test.resources.changeStatus(key, uid: resource.metadata.uid) { status in
            let own: JSONValue = ["start": "1970-01-01T00:00:03Z", "end": "1970-01-01T00:00:04Z"]
            status["materializations"] = .array((status["materializations"]?.array ?? []) + [own])
        }
        for _ in 0..<2 {
            let seen = try await test.registry.get(.featureView, "v", project: "p")
            let intervals = try seen.meta.messages(3).map { interval in
                try [1, 2].map { FeastTime.micros(try interval.message($0) ?? ProtobufMessage()) }
            }
            #expect(intervals == [[1_000_000, 2_500_000], [3_000_000, 4_000_000]] && seen.meta.number(6) == 4)
            try await test.registry.apply(seen, project: "p")
        }
    }

    @Test("lists are sorted and cut into pages")
    func lists() throws {
        let objects = ["b", "A", "c"].map { name in
            object(.entity, spec: message { $0.set(1, text: name); $0.append(8, map: [("team", name == "A" ? "x" : "y")]) })
        }
        let request = message { request in
            request.append(3, map: [("team", "y")])
            request.set(4, message: message { $0.set(1, number: 2); $0.set(2, number: 1) })
            request.set(5, message: message { $0.set(1, text: "name"); $0.set(2, text: "desc") })
        }
        let answer = try FeastList(request, tags: 3, page: 4).answer(objects)
        #expect(try answer.messages(1).map { FeastObject(.entity, message: $0).name } == ["b"])
        let metadata = try answer.message(2)
        #expect((1...6).map { metadata?.number($0) } == [2, 1, 2, 2, 0, 1])
    }
}
