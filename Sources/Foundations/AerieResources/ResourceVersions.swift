public import AerieCore
public import AerieJSON
import AerieYAML

/// One of the specs that an object has had. Versions are counted from 1 and stay when the object is deleted; an object
/// of the same name that is made later goes on counting.
public struct ResourceVersion: Sendable {
    public var number: Int
    public var time: Timestamp
    public var actor: String
    public var declaration: JSONValue
    /// Whether the object is what this version says now.
    public var isCurrent: Bool

    public var text: String { YAMLWriter.text(declaration) }
}

extension ResourceStore {
    /// Every version of an object, oldest first: what the audit trail tells of changes of its spec.
    /// - Throws: `notFound` if there never was such an object.
    public func versions(_ key: ResourceKey) async throws(AerieError) -> [ResourceVersion] {
        var versions: [ResourceVersion] = []
        var isThere = false
        for entry in try await audit(key, limit: .max).reversed() {
            isThere = entry.action != "delete"
            guard isThere, versions.last?.declaration["spec"] != entry.declaration["spec"] else { continue }
            versions.append(
                ResourceVersion(
                    number: versions.count + 1, time: entry.time, actor: entry.actor, declaration: entry.declaration,
                    isCurrent: false))
        }
        guard !versions.isEmpty else { throw .notFound("there never was a \(key)") }
        if isThere { versions[versions.count - 1].isCurrent = true }
        return versions
    }

    /// - Throws: `notFound` naming the versions that there are.
    func version(_ number: Int, of key: ResourceKey) async throws(AerieError) -> ResourceVersion {
        let all = try await versions(key)
        guard let version = all.first(where: { $0.number == number }) else {
            throw .notFound("\(key) has no version \(number); it has 1 to \(all.count)")
        }
        return version
    }

}

extension ResourceService {
    public func versions(_ key: ResourceKey) async throws(AerieError) -> [ResourceVersion] {
        try await store.versions(key)
    }

    /// What differs between two versions, as a unified diff of YAML; empty if nothing does.
    public func difference(
        of key: ResourceKey, from old: Int, to new: Int
    ) async throws(AerieError) -> String {
        let before = try await store.version(old, of: key)
        let after = try await store.version(new, of: key)
        return UnifiedDiff.text(
            from: before.text, to: after.text, oldName: "\(key) version \(old)", newName: "\(key) version \(new)")
    }

    /// Declares again what a version said, with the same checks as any declaration. It becomes the newest version.
    public func restore(
        _ number: Int, of key: ResourceKey, actor: String
    ) async throws(AerieError) -> AppliedResource {
        try await put(try await store.version(number, of: key).text, key: key, namespace: key.namespace, actor: actor)
    }
}
