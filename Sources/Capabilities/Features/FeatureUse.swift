public import AerieCore
import AerieJSON
public import AerieResources

/// Keeps entities, views, features, services, suites and connections that others use from being taken away under them,
/// and says whom a change concerns.
public struct FeatureUse: ChangeGuard {
    private let consumers: (any FeatureConsumers)?

    /// - Parameter consumers: `nil` where nothing outside of the feature store reads features.
    public init(consumers: (any FeatureConsumers)? = nil) { self.consumers = consumers }

    public func check(
        from old: Resource?, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) {
        guard let old else { return }
        let namespace = old.metadata.namespace
        switch old.kind {
        case "Entity" where new == nil:
            let views = try await store.list(kind: "FeatureView", namespace: namespace)
            let users = views.filter { view in
                view.spec["entities"]?.array?.contains { $0.string == old.metadata.name } ?? false
            }
            try Self.refuse("entity '\(old.metadata.name)'", users.map { FeatureUser($0.key) })
        case "ExpectationSuite" where new == nil:
            let views = try await store.list(kind: "FeatureView", namespace: namespace)
            let users = views.filter { $0.spec["quality"]?["suite"]?.string == old.metadata.name }
            try Self.refuse("expectation suite '\(old.metadata.name)'", users.map { FeatureUser($0.key) })
        case "SourceConnection" where new == nil:
            let views = try await store.list(kind: "FeatureView", namespace: namespace)
            let users = views.filter { $0.spec["source"]?["connection"]?.string == old.metadata.name }
            try Self.refuse("source connection '\(old.metadata.name)'", users.map { FeatureUser($0.key) })
        case "FeatureService" where new == nil:
            let users = try await readers(old.metadata.name, namespace)
            try Self.refuse("feature service '\(old.metadata.name)'", users)
        case "FeatureView":
            for change in FeatureChange.between(old, new) where change.isRemoval {
                for feature in change.features {
                    let reference = FeatureReference(view: change.view, feature: feature)
                    // Whoever reads a service is named by the refusal to take the service's feature away.
                    let readers = try await Self.readers(of: [reference], namespace, store)
                    let others = try await consumers?.users(of: [reference], namespace: namespace) ?? []
                    try Self.refuse("feature '\(reference)'", readers.map { FeatureUser($0.key) } + others)
                }
            }
        default: break
        }
    }

    public func impact(
        from old: Resource, to new: Resource?, in store: any ResourceListing
    ) async throws(AerieError) -> [String] {
        let namespace = old.metadata.namespace
        var lines: [String] = []
        func tell(_ what: String, _ users: [FeatureUser]) {
            let names = Set(users).sorted().map(\.description)
            lines.append("\(what): used by \(names.isEmpty ? "nobody" : names.joined(separator: ", "))")
        }
        switch old.kind {
        case "FeatureService":
            let left = new.map(FeatureServiceKind.references) ?? []
            let gone = FeatureServiceKind.references(old).filter { !left.contains($0) }
            guard !gone.isEmpty else { return [] }
            let names = gone.map(\.description).joined(separator: ", ")
            tell(
                "\(names) of feature service '\(old.metadata.name)' is removed",
                try await readers(old.metadata.name, namespace))
        case "FeatureView":
            for change in FeatureChange.between(old, new) {
                let references = change.features.map { FeatureReference(view: change.view, feature: $0) }
                let users = try await users(of: references, namespace, store)
                let what = references.count == 1 ? "\(references[0])" : "\(references.count) features of \(change.view)"
                tell("\(what) \(change.what)", users)
            }
        default: break
        }
        return lines
    }

    private func readers(_ service: String, _ namespace: String) async throws(AerieError) -> [FeatureUser] {
        try await consumers?.users(ofService: service, namespace: namespace) ?? []
    }

    /// Services with one of the features, and who reads them; and who reads the features without a service.
    private func users(
        of references: [FeatureReference], _ namespace: String, _ store: any ResourceListing
    ) async throws(AerieError) -> [FeatureUser] {
        var users = try await consumers?.users(of: references, namespace: namespace) ?? []
        for reader in try await Self.readers(of: references, namespace, store) {
            users.append(FeatureUser(reader.key))
            if reader.kind == "FeatureService" { users += try await readers(reader.metadata.name, namespace) }
        }
        return users
    }

    /// Services with one of the features, and views that are computed from one.
    private static func readers(
        of references: [FeatureReference], _ namespace: String, _ store: any ResourceListing
    ) async throws(AerieError) -> [Resource] {
        let views = try await store.list(kind: "FeatureView", namespace: namespace).filter { view in
            OnDemandDefinition.inputs(view.spec).contains { used in
                references.contains { $0.view == used.view && $0.feature == used.feature }
            }
        }
        return try await services(references, namespace, store) + views
    }

    private static func services(
        _ references: [FeatureReference], _ namespace: String, _ store: any ResourceListing
    ) async throws(AerieError) -> [Resource] {
        try await store.list(kind: "FeatureService", namespace: namespace).filter { service in
            FeatureServiceKind.references(service).contains { used in
                references.contains { $0.view == used.view && $0.feature == used.feature }
            }
        }
    }

    private static func refuse(_ what: String, _ users: [FeatureUser]) throws(AerieError) {
        let names = Set(users.filter(\.isBound)).sorted().map(\.description)
        if names.isEmpty { return }
        throw AerieError(
            .failedPrecondition, "\(what) is used by \(names.joined(separator: ", ")); change or delete these first",
            reason: "feature.inUse")
    }
}

extension FeatureUser {
    fileprivate init(_ key: ResourceKey) { self.init(kind: key.kind, name: key.name) }
}
