public import AerieCore
public import AerieJSON
public import AerieResources

/// Every entity, view and service of a namespace as they were at one moment, with all names resolved. Immutable.
public struct FeatureCatalog: Sendable {
    /// A key of a view.
    public struct JoinKey: Sendable, Hashable {
        public var entity: String
        public var name: String
        /// `nil` where the entity names none; whole numbers are then `INT64` and texts `STRING`.
        public var type: FeatureType?

        /// The column and the type, which an entity's key is made by.
        var description: String { "\(name) \(type?.rawValue ?? "of any type")" }
    }

    public struct View: Sendable {
        public var key: ResourceKey
        public var uid: String
        /// When it was declared first.
        public var created: Timestamp?
        /// Of this version alone.
        public var status: JSONObject
        /// Which of the view's versions it is, counted from 0; `nil` where these are not kept apart online.
        public var version: Int?
        public var definition: FeatureViewDefinition
        public var description: String
        public var owner: String
        public var tags: [String: String]
        /// In the order of the names, as the entity's key has them; none for a view without entities.
        public var joinKeys: [JoinKey]
        public var isOnline: Bool
        /// What its rows must look like; `nil` for anything.
        public var quality: FeatureQuality?
        /// The name under which rows are pushed, besides the view's own.
        public var pushSource: String?
        public var entityKey: EntityKey
        public var online: OnlineView
        /// For a view whose features are computed out of others.
        public var onDemand: OnDemandPlan?

        /// Whether the features are computed at each read, and not kept.
        var isComputedAtReads: Bool { definition.onDemand.map { !$0.isStored } ?? false }

        /// Whether values are copied to the online store out of the view's source, or of those that it is computed of;
        /// of a window view what was before its stream.
        public var isMaterialized: Bool {
            guard isOnline else { return false }
            if online.windows != nil, definition.sourceType == "push" { return false }
            // What comes with a request stands in no source.
            if let onDemand { return !isComputedAtReads && onDemand.request.isEmpty }
            return definition.hasSource
        }
    }

    public struct Service: Sendable {
        public var name: String
        public var references: [FeatureReference]
    }

    public var namespace: String
    public var views: [String: View]
    /// Views that are declared and switched off: nothing of them is read, written or materialized, and nothing is lost.
    public private(set) var disabledViews: [String: View] = [:]
    public var services: [String: Service]
    /// Of views whose versions are kept apart, those that another has taken the place of, by their number. They are
    /// called `view@v0`.
    private(set) var earlier: [String: [Int: View]] = [:]

    /// What in the catalogue is not as it should be, such as a service that names a feature which is gone.
    public private(set) var problems: [String] = []

    /// - Parameter versions: by view; none where they are not kept apart.
    init(
        namespace: String, entities: [Resource], views: [Resource], services: [Resource],
        connections: [Resource] = [], versions: [String: FeatureViewVersions] = [:]
    ) {
        self.namespace = namespace
        var keys: [String: JoinKey] = [:]
        for entity in entities {
            let name = entity.metadata.name
            keys[name] = JoinKey(
                entity: name, name: EntityKind.joinKey(entity),
                type: entity.spec["valueType"]?.string.flatMap { FeatureType(name: $0) })
        }
        self.views = [:]
        self.services = [:]
        let places = connections.compactMap { SourceConnection($0) }
        for view in views {
            let numbers = versions[view.metadata.name]?.all ?? []
            do throws(AerieError) {
                let found = try Self.view(
                    view, version: numbers.last?.number, namespace: namespace, keys: keys, connections: places)
                if view.spec["disabled"]?.bool == true {
                    disabledViews[view.metadata.name] = found
                    problems.append("\(view.key): is switched off (disabled)")
                } else {
                    self.views[view.metadata.name] = found
                    earlier[view.metadata.name] = Self.earlier(numbers.dropLast(), of: view) {
                        old, number throws(AerieError) in
                        try Self.view(old, version: number, namespace: namespace, keys: keys, connections: places)
                    }
                }
            } catch { problems.append("\(view.key): \(error.message)") }
        }
        refuseSharedRows()
        resolveOnDemand()
        let names = DeclaredNames(entities + views)
        for service in services {
            problems += names.missing(from: service).map { "\(service.key): \($0.problem)" }
            self.services[service.metadata.name] = Service(
                name: service.metadata.name, references: FeatureServiceKind.references(service))
        }
    }

    /// Versions whose declaration cannot be carried out any more are left out.
    private static func earlier(
        _ versions: some Sequence<FeatureViewVersions.Version>, of resource: Resource,
        read: (Resource, Int) throws(AerieError) -> View
    ) -> [Int: View] {
        var found: [Int: View] = [:]
        for version in versions {
            var old = resource
            old.spec = version.spec
            do throws(AerieError) {
                var view = try read(old, version.number)
                guard view.online.windows == nil else { continue }
                view.definition.name += FeatureName.suffix(version.number)
                found[version.number] = view
            } catch { continue }
        }
        return found
    }

    /// `stats_v1` as the name of a view is that of the rows of version 1 of `stats` too.
    private mutating func refuseSharedRows() {
        let kept = everyVersion
        for view in kept where view.online.name != view.key.name {
            guard declaredView(view.online.name) != nil, let version = view.version else { continue }
            if version == views[view.key.name]?.version { views[view.key.name] = nil }
            earlier[view.key.name]?[version] = nil
            problems.append(
                "\(view.key): the rows of its version \(version) are kept under the name '\(view.online.name)', which is that "
                    + "of another feature view; call one of the two otherwise")
        }
    }

    private mutating func resolveOnDemand() {
        let stored = views.filter { $0.value.definition.onDemand == nil }.mapValues(\.definition)
        for (name, versions) in earlier {
            for (number, view) in versions where view.definition.onDemand != nil {
                let plan = try? OnDemandPlan(view.definition, stored)
                if plan == nil { earlier[name]?[number] = nil } else { earlier[name]?[number]?.onDemand = plan }
            }
        }
        for (name, view) in views where view.definition.onDemand != nil {
            do throws(AerieError) { views[name]?.onDemand = try OnDemandPlan(view.definition, stored) } catch {
                views[name] = nil
                problems.append("\(view.key): \(error.message)")
            }
        }
    }

    private static func view(
        _ resource: Resource, version: Int?, namespace: String, keys: [String: JoinKey], connections: [SourceConnection]
    ) throws(AerieError) -> View {
        var definition = try FeatureViewDefinition.parse(resource.spec, name: resource.metadata.name)
        let joinKeys = definition.entities.map { keys[$0] ?? JoinKey(entity: $0, name: $0, type: nil) }
        let entityKey = joinKeys.isEmpty ? EntityKey.none : EntityKey(names: joinKeys.map(\.name))
        let sorted = entityKey.names.compactMap { name in joinKeys.first { $0.name == name } }
        definition.joinKeys = sorted.map { definition.column(of: $0.name) }
        definition.pushedTo = "\(namespace)/\(definition.name)"
        definition.connect(connections)
        var tags: [String: String] = [:]
        for member in resource.spec["tags"]?.object?.members ?? [] { tags[member.key] = member.value.string }
        // What windows are computed of is state of the view, whatever it is computed to.
        let version = definition.windows == nil ? version : nil
        return View(
            key: resource.key, uid: resource.metadata.uid, created: resource.metadata.created,
            status: View.status(resource.status ?? [:], version: version), version: version, definition: definition,
            description: resource.spec["description"]?.string ?? "", owner: resource.spec["owner"]?.string ?? "",
            tags: tags, joinKeys: sorted, isOnline: resource.spec["online"]?.bool ?? true,
            quality: FeatureQuality(resource.spec["quality"]), pushSource: resource.spec["pushSource"]?.string, entityKey: entityKey,
            online: OnlineView(
                project: namespace, name: OnlineView.name(definition.name, version: version ?? 0),
                features: definition.features.map(\.name),
                windows: definition.windows.map {
                    OnlineWindows(
                        $0, project: namespace, name: definition.name, uid: resource.metadata.uid,
                        keys: sorted.map(\.description))
                }))
    }

    /// A view whether it is switched off or not.
    public func declaredView(_ name: String) -> View? { views[name] ?? disabledViews[name] }

    /// - Throws: `failedPrecondition` (`feature_view.disabled`) for one that is switched off.
    private func refuseDisabled(_ view: View?) throws(AerieError) {
        guard let view else { return }
        throw AerieError(
            .failedPrecondition,
            "feature view '\(view.definition.name)' is switched off (disabled); aerie apply it without spec.disabled, or "
                + "feast feature-views enable it",
            reason: "feature_view.disabled")
    }

    /// - Throws: `notFound` (`feature_view.unknown`), in the words that Feast's clients know; `failedPrecondition` for
    ///   one that is switched off.
    public func view(_ name: String) throws(AerieError) -> View {
        try refuseDisabled(disabledViews[name])
        guard let view = views[name] else {
            throw AerieError(
                .notFound, "Feature view \(name) does not exist in project \(namespace)", reason: "feature_view.unknown",
                details: [.init(field: name, problem: "is not among the feature views")])
        }
        return view
    }

    /// The view as the reference sees it: under its alias, and its keys under the names that the alias gives them. In
    /// the stores it is the view that it is.
    /// - Throws: `notFound` (`feature_view.unknown`); `invalidArgument` for a key that the view does not have.
    public func view(_ reference: FeatureReference) throws(AerieError) -> View {
        var view = try view(reference.view, version: reference.version)
        for (key, name) in reference.joinKeys {
            guard let place = view.entityKey.names.firstIndex(of: key), !view.joinKeys.isEmpty else {
                throw .invalid(
                    "joinKeys.\(key)",
                    "view '\(reference.view)' has no join key '\(key)'; it has \(view.joinKeys.map(\.name).joined(separator: ", "))"
                )
            }
            // The entity's name would mean the column of the view without an alias.
            view.joinKeys[place] = JoinKey(entity: name, name: name, type: view.joinKeys[place].type)
        }
        view.definition.name = reference.outputView
        return view
    }

    /// - Throws: `notFound` (`feature_service.unknown`).
    public func service(_ name: String) throws(AerieError) -> Service {
        guard let service = services[name] else {
            throw AerieError(
                .notFound, "Feature service \(name) does not exist in project \(namespace)",
                reason: "feature_service.unknown",
                details: [.init(field: name, problem: "is not among the feature services")])
        }
        return service
    }

    /// Whether all rows that a view's values are copied from can be read in this process.
    func isConnected(_ view: View) -> Bool {
        guard let onDemand = view.onDemand else { return view.definition.isConnected }
        return onDemand.inputs.allSatisfy { views[$0.reference.view]?.definition.isConnected ?? false }
    }

    /// How long a row of a source can matter to the view, in microseconds; `nil` for ever.
    func lifetime(_ view: View) -> Int64? {
        guard let onDemand = view.onDemand else { return view.definition.lifetime }
        let lives = onDemand.inputs.map { views[$0.reference.view]?.definition.lifetime }
        return lives.contains(nil) ? nil : lives.compactMap(\.self).max()
    }

    /// The views that rows of a push source go to: those that name it, and the one that is called so.
    /// - Throws: `notFound` (`push_source.unknown`).
    public func pushTargets(_ source: String) throws(AerieError) -> [View] {
        let found = views.values.filter {
            !$0.isComputedAtReads && ($0.pushSource == source || $0.definition.name == source)
        }
        guard !found.isEmpty else {
            try refuseDisabled(disabledViews.values.first { $0.pushSource == source || $0.definition.name == source })
            throw AerieError(
                .notFound,
                "Unable to find push source '\(source)': no feature view names it as its pushSource, or is called so",
                reason: "push_source.unknown")
        }
        return found.sorted { $0.definition.name < $1.definition.name }
    }
}
