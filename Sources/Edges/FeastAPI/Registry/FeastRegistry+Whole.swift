import AerieCore
import AerieResources
import AerieWire
import Features

/// The registry as one message, and the parts of it that are no definitions.
extension FeastRegistry {
    /// `feast.core.Registry`, of every project.
    func whole() async throws(AerieError) -> ProtobufMessage {
        var registry = ProtobufMessage()
        var updated = Timestamp(milliseconds: 0)
        for project in try await entries(.project, project: "") {
            registry.append(FeastKind.project.registryField ?? 17, message: project.object.message)
            for kind in FeastKind.allCases where kind != .project {
                guard let field = kind.registryField else { continue }
                for entry in try await entries(kind, project: project.object.name) {
                    registry.append(field, message: entry.object.message)
                    updated = max(updated, entry.object.updated ?? updated)
                }
            }
        }
        registry.set(3, text: "1")
        registry.set(4, text: "\(try await resources.latestSequence())")
        registry.set(5, message: FeastTime.message(updated))
        return registry
    }

    private static func infraKey(_ project: String) -> DefinitionDocument.Key {
        .init(project: project, kind: FeastKind.infra.rawValue, name: project)
    }

    /// What a client has set up for its own online store; Aerie's needs nothing.
    func put(infra bytes: [UInt8], project: String) async throws(AerieError) {
        guard !project.isEmpty else { throw .invalid("project", "must not be empty") }
        _ = try ProtobufMessage(bytes: bytes)
        try await documents.put([DefinitionDocument(key: Self.infraKey(project), bytes: bytes)])
    }

    func infra(project: String) async throws(AerieError) -> ProtobufMessage {
        try ProtobufMessage(bytes: try await documents.get(Self.infraKey(project))?.bytes ?? [])
    }
}
