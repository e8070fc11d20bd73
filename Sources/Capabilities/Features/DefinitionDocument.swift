public import AerieCore

/// A definition as a client of another feature store wrote it, byte for byte, beside what Aerie makes of it.
public struct DefinitionDocument: Sendable, Hashable {
    public struct Key: Sendable, Hashable {
        /// The namespace of the resource.
        public var project: String
        /// In that client's words, such as `StreamFeatureView`.
        public var kind: String
        public var name: String

        public init(project: String, kind: String, name: String) {
            self.project = project
            self.kind = kind
            self.name = name
        }
    }

    /// A resource as it was at one moment.
    public struct Origin: Sendable, Hashable {
        public var uid: String
        public var generation: Int64

        public init(uid: String, generation: Int64) {
            self.uid = uid
            self.generation = generation
        }
    }

    public var key: Key
    public var bytes: [UInt8]
    /// The resource that was made of the document, as it was then; `nil` if none was.
    public var resource: Origin?
    /// What of the document is kept and not carried out, for the person who asks for it; empty for nothing.
    public var problem: String

    public init(key: Key, bytes: [UInt8], resource: Origin? = nil, problem: String = "") {
        self.key = key
        self.bytes = bytes
        self.resource = resource
        self.problem = problem
    }
}

/// Keeps definitions in the words of the clients that wrote them.
///
/// Contract: each call is atomic and durable when it returns, and sees what was acknowledged before it. Documents come
/// in the order of project, kind and name. Bytes are given back as they were put. Safe to call from any task.
public protocol DefinitionDocumentStore: Sendable {
    func get(_ key: DefinitionDocument.Key) async throws(AerieError) -> DefinitionDocument?
    /// - Parameters:
    ///   - project: `nil` for all.
    ///   - kind: `nil` for all.
    func list(project: String?, kind: String?) async throws(AerieError) -> [DefinitionDocument]
    /// Puts all of them, in the place of those that have their keys.
    func put(_ documents: [DefinitionDocument]) async throws(AerieError)
    /// - Returns: whether there was one.
    func delete(_ key: DefinitionDocument.Key) async throws(AerieError) -> Bool
    /// Deletes all of a project.
    func deleteAll(project: String) async throws(AerieError)
}

extension FeatureStore {
    /// The error, or why what it does not find is not carried out, if a client has declared it.
    public func explained(_ error: AerieError, namespace: String) async -> AerieError {
        guard error.reason == "feature_view.unknown" || error.reason == "feature_service.unknown",
            let name = error.details.first?.field, let documents
        else { return error }
        let found: DefinitionDocument?
        do throws(AerieError) {
            found = try await documents.list(project: namespace, kind: nil).first {
                $0.key.name == name && $0.resource == nil && !$0.problem.isEmpty
            }
        } catch { return error }
        guard let found else { return error }
        return AerieError(
            .unsupported, "\(found.key.kind) '\(name)' is kept and not carried out: \(found.problem)",
            reason: "definition.notCarriedOut")
    }
}
