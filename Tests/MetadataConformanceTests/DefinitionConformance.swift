import Features
import Testing

/// The promises of the port that keeps definitions in their clients' words.
extension TrackingConformance {
    private static func document(
        _ project: String, _ kind: String, _ name: String, _ bytes: [UInt8] = [1], origin: Int64? = nil
    ) -> DefinitionDocument {
        DefinitionDocument(
            key: .init(project: project, kind: kind, name: name), bytes: bytes,
            resource: origin.map { .init(uid: "u", generation: $0) }, problem: origin == nil ? "not carried out" : "")
    }

    static let definitions: [TrackingConformance] = [
        .init("definitions come back byte for byte, in order, and are replaced by their key") { stores in
            let all = Array(UInt8.min...UInt8.max)
            let documents = [
                document("b", "Entity", "x"), document("A", "View", "ü'", all, origin: 7),
                document("A", "Entity", "Z", []), document("A", "Entity", "a"),
            ]
            try await stores.definitions.put(documents)
            let expected = [documents[2], documents[3], documents[1], documents[0]]
            #expect(try await stores.definitions.list(project: nil, kind: nil) == expected)
            #expect(try await stores.definitions.list(project: "A", kind: "Entity") == Array(expected[..<2]))
            #expect(try await stores.definitions.list(project: nil, kind: "Entity").count == 3)
            #expect(try await stores.definitions.get(documents[1].key) == documents[1])
            let changed = document("A", "View", "ü'", [0, 255], origin: 8)
            try await stores.definitions.put([changed, document("b", "Entity", "x", [2])])
            #expect(try await stores.definitions.get(changed.key) == changed)
            #expect(try await stores.definitions.list(project: "b", kind: nil) == [document("b", "Entity", "x", [2])])
            #expect(try await stores.definitions.get(.init(project: "a", kind: "View", name: "ü'")) == nil)
        },
        .init("definitions go one by one, or a project's at once") { stores in
            try await stores.definitions.put(
                ["p", "q"].flatMap { [document($0, "Entity", "a"), document($0, "Entity", "b")] })
            #expect(try await stores.definitions.delete(.init(project: "p", kind: "Entity", name: "a")))
            #expect(try await !stores.definitions.delete(.init(project: "p", kind: "Entity", name: "a")))
            try await stores.definitions.deleteAll(project: "q")
            #expect(try await stores.definitions.list(project: nil, kind: nil).map(\.key.name) == ["b"])
        },
    ]
}
