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
            let users = views.filter { $0.reads(entity: old) }
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
            let gone = FeatureChange.between(old, new).filter(\.isRemoval).flatMap { change in
                change.features.map { FeatureReference(view: change.view, feature: $0) }
            }
            if !gone.isEmpty { try await refuse(taking: gone, namespace, store, viewStays: Self.stays(new)) }
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
        case "Entity":
            guard let new else { return [] }
            let views = try await store.list(kind: "FeatureView", namespace: namespace).filter { $0.reads(entity: old) }
            for what in EntityKind.differences(old, new) {
                tell("entity '\(old.metadata.name)' \(what)", views.map { FeatureUser($0.key) })
            }
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
                let users = try await users(of: references, namespace, store, viewStays: Self.stays(new))
                let what = references.count == 1 ? "\(references[0])" : "\(references.count) features of \(change.view)"
                tell("\(what) \(change.what)", users)
            }
        default: break
        }
        return lines
    }

    /// Refuses to take features away that are in use, and says of each by whom; those of the same users together.
    private func refuse(
        taking features: [FeatureReference], _ namespace: String, _ store: any ResourceListing, viewStays: Bool
    ) async throws(AerieError) {
        var users: [FeatureReference: [FeatureUser]] = [:]
        let wanted = Set(features)
        // Whoever reads a service is named by the refusal to take the service's feature away.
        for reader in try await Self.readers(of: features, namespace, store, viewStays: viewStays) {
            for used in Self.references(reader, viewStays: viewStays) where wanted.contains(used) {
                users[used, default: []].append(FeatureUser(reader.key))
            }
        }
        if let consumers, try await consumers.users(of: features, namespace: namespace).contains(where: \.isBound) {
            for feature in features {
                users[feature, default: []] += try await consumers.users(of: [feature], namespace: namespace)
            }
        }
        var sentences: [(who: String, features: [FeatureReference])] = []
        for feature in features {
            let who = Self.bound(users[feature] ?? [])
            if who.isEmpty { continue }
            if let place = sentences.firstIndex(where: { $0.who == who }) {
                sentences[place].features.append(feature)
            } else {
                sentences.append((who, [feature]))
            }
        }
        if sentences.isEmpty { return }
        throw Self.refusal(
            sentences.map { who, features in
                var names = features.prefix(Self.namedFeatures).map { "'\($0)'" }.joined(separator: ", ")
                if features.count > Self.namedFeatures { names += " and \(features.count - Self.namedFeatures) more" }
                return features.count == 1 ? "feature \(names) is used by \(who)" : "features \(names) are used by \(who)"
            }.joined(separator: "; "))
    }

    /// Of features with the same users so many are called by name.
    private static let namedFeatures = 10

    /// Whether a view is there and switched on after a change.
    private static func stays(_ new: Resource?) -> Bool {
        new.map { $0.spec["disabled"]?.bool != true } ?? false
    }

    private func readers(_ service: String, _ namespace: String) async throws(AerieError) -> [FeatureUser] {
        try await consumers?.users(ofService: service, namespace: namespace) ?? []
    }

    /// Services with one of the features, and who reads them; and who reads the features without a service.
    private func users(
        of references: [FeatureReference], _ namespace: String, _ store: any ResourceListing, viewStays: Bool
    ) async throws(AerieError) -> [FeatureUser] {
        var users = try await consumers?.users(of: references, namespace: namespace) ?? []
        for reader in try await Self.readers(of: references, namespace, store, viewStays: viewStays) {
            users.append(FeatureUser(reader.key))
            if reader.kind == "FeatureService" { users += try await readers(reader.metadata.name, namespace) }
        }
        return users
    }

    /// Services with one of the features, and views that are computed from one.
    private static func readers(
        of features: [FeatureReference], _ namespace: String, _ store: any ResourceListing, viewStays: Bool
    ) async throws(AerieError) -> [Resource] {
        let wanted = Set(features)
        let all =
            try await store.list(kind: "FeatureService", namespace: namespace)
            + store.list(kind: "FeatureView", namespace: namespace)
        return all.filter { references($0, viewStays: viewStays).contains(where: wanted.contains) }
    }

    /// What a service or a view reads of views, under their own names.
    /// - Parameter viewStays: earlier versions of a view, which a service may name, can then be read all the same.
    private static func references(_ reader: Resource, viewStays: Bool) -> [FeatureReference] {
        let all =
            reader.kind == "FeatureService"
            ? FeatureServiceKind.references(reader) : OnDemandDefinition.inputs(reader.spec)
        return all.filter { $0.version == nil || !viewStays }
            .map { FeatureReference(view: $0.view, feature: $0.feature) }
    }

    private static func refuse(_ what: String, _ users: [FeatureUser]) throws(AerieError) {
        let who = bound(users)
        if !who.isEmpty { throw refusal("\(what) is used by \(who)") }
    }

    /// Those that something must not be taken from, by name; empty if there are none.
    private static func bound(_ users: [FeatureUser]) -> String {
        Set(users.filter(\.isBound)).sorted().map(\.description).joined(separator: ", ")
    }

    private static func refusal(_ uses: String) -> AerieError {
        AerieError(.failedPrecondition, "\(uses); change or delete these first", reason: "feature.inUse")
    }
}

extension Resource {
    /// Whether a view has the entity.
    fileprivate func reads(entity: Resource) -> Bool {
        spec["entities"]?.array?.contains { $0.string == entity.metadata.name } ?? false
    }
}

extension FeatureUser {
    fileprivate init(_ key: ResourceKey) { self.init(kind: key.kind, name: key.name) }
}
