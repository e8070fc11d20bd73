import AerieCore
import AerieJSON
import AerieResources
import Testing

/// What every `ResourceStore` must keep of its contract: one check a promise.
enum ResourceConformance {
    static func widget(_ name: String, _ size: Int64 = 1, namespace: String = "default") -> Resource {
        Resource(
            apiVersion: "aerie.dev/v1", kind: "Widget",
            metadata: ResourceMetadata(name: name, namespace: namespace, labels: ["l": "1"]),
            spec: ["size": .int(size)])
    }

    private static func code(_ body: () async throws -> Void) async -> AerieError.Code? {
        await TrackingConformance.code(body)
    }

    static let all: [PlatformConformance] = [
        .init("what was put is there, with uid, version, generation and time") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            #expect(!made.metadata.uid.isEmpty && made.metadata.resourceVersion > 0 && made.metadata.generation == 1)
            #expect(made.metadata.created != nil)
            #expect(try await store.get(made.key) == made)
        },
        .init("a write that changes nothing writes nothing") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            let sequence = try await store.latestSequence()
            #expect(try await store.put(widget("a"), expecting: nil, actor: "x") == made)
            #expect(try await store.latestSequence() == sequence)
            #expect(try await store.audit(made.key, limit: 9).count == 1)
        },
        .init("only a change of spec raises the generation; every change raises the version") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            var relabelled = widget("a")
            relabelled.metadata.labels = ["l": "2"]
            let second = try await store.put(relabelled, expecting: nil, actor: "x")
            #expect(second.metadata.generation == 1 && second.metadata.resourceVersion > made.metadata.resourceVersion)
            relabelled.spec = ["size": 2]
            let third = try await store.put(relabelled, expecting: nil, actor: "x")
            #expect(third.metadata.generation == 2 && third.metadata.uid == made.metadata.uid)
        },
        .init("expecting 0 means it must not exist") { stores in
            let store = stores.resources
            _ = try await store.put(widget("a"), expecting: 0, actor: "x")
            #expect(await code { _ = try await store.put(widget("a", 2), expecting: 0, actor: "x") } == .alreadyExists)
        },
        .init("a write that names an old version is a conflict and changes nothing") { stores in
            let store = stores.resources
            let first = try await store.put(widget("a", 1), expecting: nil, actor: "x")
            let version = first.metadata.resourceVersion
            _ = try await store.put(widget("a", 2), expecting: version, actor: "x")
            #expect(await code { _ = try await store.put(widget("a", 3), expecting: version, actor: "x") } == .conflict)
            #expect(try await store.get(first.key).spec["size"] == 2)
            #expect(await code { _ = try await store.put(widget("b"), expecting: 5, actor: "x") } == .conflict)
        },
        .init("of many writers that read the same version, one wins") { stores in
            let store = stores.resources
            let version = try await store.put(widget("a"), expecting: nil, actor: "x").metadata.resourceVersion
            let wins = await withTaskGroup(of: Bool.self) { group in
                for size in 2...21 {
                    group.addTask {
                        (try? await store.put(widget("a", Int64(size)), expecting: version, actor: "x")) != nil
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(wins == 1)
        },
        .init("status is kept by put, changed out of what it is, and left alone for another uid") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            try await store.changeStatus(made.key, uid: made.metadata.uid) { $0["state"] = "up" }
            try await store.changeStatus(made.key, uid: "other") { $0 = ["state": "wrong"] }
            let sequence = try await store.latestSequence()
            try await store.changeStatus(made.key, uid: made.metadata.uid) { $0["state"] = "up" }
            #expect(try await store.latestSequence() == sequence)
            let changed = try await store.put(widget("a", 2), expecting: nil, actor: "x")
            #expect(changed.status == ["state": "up"] && changed.metadata.generation == 2)
            try await store.changeStatus(ResourceKey(kind: "Widget", name: "none"), uid: "u") { $0["s"] = 1 }
        },
        .init("of many who change the status at once, nobody's change is lost") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        try await store.changeStatus(made.key, uid: made.metadata.uid) { status in
                            status["n\(number)"] = true
                            status["count"] = .int((status["count"]?.int ?? 0) + 1)
                        }
                    }
                }
                try await group.waitForAll()
            }
            let status = try await store.get(made.key).status
            #expect(status?["count"] == 20 && status?.members.count == 21)
        },
        .init("what is not there is not found, by its names") { stores in
            let store = stores.resources
            let key = ResourceKey(kind: "Widget", namespace: "team", name: "none")
            let error = await #expect(throws: AerieError.self) { try await store.get(key) }
            #expect(error?.code == .notFound)
            for word in ["Widget", "team", "none"] { #expect(error?.message.contains(word) == true) }
            #expect(await code { _ = try await store.delete(key, actor: "x") } == .notFound)
        },
        .init("lists are of one kind, in order of namespace and name") { stores in
            let store = stores.resources
            for (name, namespace) in [("b", "default"), ("a", "default"), ("c", "blue"), ("a", "zoo")] {
                _ = try await store.put(widget(name, namespace: namespace), expecting: nil, actor: "x")
            }
            var other = widget("a")
            other.kind = "Other"
            _ = try await store.put(other, expecting: nil, actor: "x")
            let all = try await store.list(kind: "Widget", namespace: nil).map(\.key.description)
            #expect(all == ["Widget/blue/c", "Widget/a", "Widget/b", "Widget/zoo/a"])
            #expect(try await store.list(kind: "Widget", namespace: "default").map(\.metadata.name) == ["a", "b"])
            #expect(try await store.list(kind: "None", namespace: nil).isEmpty)
        },
        .init("one made again under the same name is another object") { stores in
            let store = stores.resources
            let first = try await store.put(widget("a"), expecting: nil, actor: "x")
            let gone = try await store.delete(first.key, actor: "x")
            #expect(gone.metadata.uid == first.metadata.uid)
            let second = try await store.put(widget("a"), expecting: 0, actor: "x")
            #expect(second.metadata.uid != first.metadata.uid && second.metadata.generation == 1)
            #expect(second.metadata.resourceVersion > first.metadata.resourceVersion)
        },
        .init("events tell every change once, in order, without gaps") { stores in
            let store = stores.resources
            let start = try await store.latestSequence()
            let made = try await store.put(widget("a"), expecting: nil, actor: "x")
            try await store.changeStatus(made.key, uid: made.metadata.uid) { $0["s"] = 1 }
            _ = try await store.put(widget("a", 2), expecting: nil, actor: "x")
            _ = try await store.delete(made.key, actor: "x")
            let events = try await store.events(after: start, limit: 100)
            #expect(events.map(\.change) == [.added, .modified, .modified, .deleted])
            #expect(zip(events, events.dropFirst()).allSatisfy { $0.sequence < $1.sequence })
            #expect(events.last?.resource.spec["size"] == 2)
            #expect(try await store.events(after: events[1].sequence, limit: 1).map(\.sequence) == [events[2].sequence])
            #expect(try await store.events(after: events[3].sequence, limit: 9).isEmpty)
            #expect(try await store.latestSequence() == events[3].sequence)
        },
        .init("the audit trail tells who did what, newest first, and outlives the object") { stores in
            let store = stores.resources
            let made = try await store.put(widget("a"), expecting: nil, actor: "ann")
            _ = try await store.put(widget("a", 2), expecting: nil, actor: "bob")
            try await store.changeStatus(made.key, uid: made.metadata.uid) { $0["s"] = 1 }
            _ = try await store.delete(made.key, actor: "cy")
            let trail = try await store.audit(made.key, limit: 10)
            #expect(trail.map(\.action) == ["delete", "update", "create"])
            #expect(trail.map(\.actor) == ["cy", "bob", "ann"])
            #expect(trail.map(\.generation) == [2, 2, 1])
            #expect(try await store.audit(made.key, limit: 1).count == 1)
        },
    ]
}
