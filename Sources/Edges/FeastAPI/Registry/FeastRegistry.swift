public import AerieCore
import AerieJSON
public import AerieResources
import AerieWire
public import Features

/// Feast's registry over Aerie's definitions: one set of definitions, seen in the words of Feast's SDK and in Aerie's.
///
/// What the SDK applies is kept byte for byte as a document, and entities, feature views and feature services become
/// resources of the namespace that has the project's name, as far as Aerie carries them out. What was applied as YAML
/// is made into Feast's messages when it is asked for. Where a resource was changed after the document was written, the
/// resource counts. Safe to call from any task; of two clients that write the same object at once the last one counts,
/// in both forms.
public struct FeastRegistry: Sendable {
    let resources: ResourceService
    let store: FeatureStore
    let documents: any DefinitionDocumentStore
    let clock: any WallClock
    let staged = StagedChanges()

    public init(
        resources: ResourceService, store: FeatureStore, documents: any DefinitionDocumentStore,
        clock: any WallClock = SystemClock()
    ) {
        self.resources = resources
        self.store = store
        self.documents = documents
        self.clock = clock
    }

    /// An object as it is now.
    struct Entry: Sendable {
        var object: FeastObject
        /// `nil` where the object was made of a resource.
        var document: DefinitionDocument?
        var resource: Resource?
    }

    static let actor = "feast"

    // MARK: Looking

    /// In the order of the names.
    func entries(_ kind: FeastKind, project: String) async throws(AerieError) -> [Entry] {
        if kind == .project { return try await projects() }
        let documents = try await documents.list(project: project, kind: kind.rawValue)
        if kind == .dataSource { return try await sources(documents, project: project) }
        guard let resourceKind = kind.resourceKind else {
            var entries: [Entry] = []
            for document in documents {
                entries.append(Entry(object: try FeastObject(kind, bytes: document.bytes), document: document))
            }
            return entries
        }
        var resources = try await resources.list(kind: resourceKind, namespace: project)
        if resourceKind == "FeatureView" {
            let others = try await otherKinds(in: project)
            resources.removeAll { others[DefinitionDocument.Origin($0)] ?? .featureView != kind }
        }
        return try Self.merge(kind, documents, resources, catalog: try await store.catalog(project))
    }

    /// The feature views that are of a kind of their own to Feast.
    private func otherKinds(in project: String) async throws(AerieError) -> [DefinitionDocument.Origin: FeastKind] {
        var kinds: [DefinitionDocument.Origin: FeastKind] = [:]
        for kind in [FeastKind.streamFeatureView, .onDemandFeatureView] {
            for document in try await documents.list(project: project, kind: kind.rawValue) {
                if let origin = document.resource { kinds[origin] = kind }
            }
        }
        return kinds
    }

    func entry(_ kind: FeastKind, _ name: String, project: String) async throws(AerieError) -> Entry? {
        try await entries(kind, project: project).first { $0.object.name == name }
    }

    /// - Throws: `notFound`, of Feast's class for the kind.
    func get(_ kind: FeastKind, _ name: String, project: String) async throws(AerieError) -> FeastObject {
        guard let entry = try await entry(kind, name, project: project) else { throw kind.missing(name, in: project) }
        return entry.object
    }

    private static func merge(
        _ kind: FeastKind, _ documents: [DefinitionDocument], _ resources: [Resource], catalog: FeatureCatalog
    ) throws(AerieError) -> [Entry] {
        var left = Dictionary(resources.map { ($0.metadata.name, $0) }) { first, _ in first }
        var entries: [Entry] = []
        for document in documents {
            guard let resource = left[document.key.name] else {
                // Of a document whose resource was deleted nothing is left.
                if document.resource == nil {
                    entries.append(Entry(object: try FeastObject(kind, bytes: document.bytes), document: document))
                }
                continue
            }
            guard document.resource == DefinitionDocument.Origin(resource) else { continue }
            left[document.key.name] = nil
            var object = try FeastObject(kind, bytes: document.bytes)
            object.add(knownOf: resource, in: catalog)
            entries.append(Entry(object: object, document: document, resource: resource))
        }
        for resource in left.values {
            guard var object = try FeastDefinitionWriter.object(resource, catalog: catalog) else { continue }
            object.add(knownOf: resource, in: catalog)
            entries.append(Entry(object: object, resource: resource))
        }
        return entries.sorted { $0.object.name < $1.object.name }
    }

    /// Those that were applied, and those of views that were declared here.
    private func sources(
        _ documents: [DefinitionDocument], project: String
    ) async throws(AerieError) -> [Entry] {
        var entries: [String: Entry] = [:]
        for view in try await self.entries(.featureView, project: project) where view.document == nil {
            for field in [7, 9] {
                guard let source = try view.object.spec.message(field) else { continue }
                entries[source.text(20)] = Entry(object: FeastObject(.dataSource, message: source))
            }
        }
        for document in documents {
            entries[document.key.name] = Entry(
                object: try FeastObject(.dataSource, bytes: document.bytes), document: document)
        }
        return entries.values.sorted { $0.object.name < $1.object.name }
    }

    /// Those that were applied, and every namespace with definitions.
    private func projects() async throws(AerieError) -> [Entry] {
        var entries: [String: Entry] = [:]
        for kind in ["Entity", "FeatureView", "FeatureService"] {
            for resource in try await resources.list(kind: kind) {
                let name = resource.metadata.namespace
                let created = resource.metadata.created ?? clock.now()
                if let known = entries[name]?.object.created, known <= created { continue }
                entries[name] = Entry(object: Self.project(name, created: created))
            }
        }
        for document in try await documents.list(project: nil, kind: FeastKind.project.rawValue) {
            entries[document.key.name] = Entry(
                object: try FeastObject(.project, bytes: document.bytes), document: document)
        }
        return entries.values.sorted { $0.object.name < $1.object.name }
    }

    private static func project(_ name: String, created: Timestamp) -> FeastObject {
        var spec = ProtobufMessage()
        spec.set(1, text: name)
        var object = FeastObject(.project, message: ProtobufMessage())
        object.spec = spec
        object.stamp(created: created, updated: created)
        return object
    }

    // MARK: Changing

    /// Creates or replaces an object, and the resource that it means.
    /// - Returns: what of it is kept and not carried out; empty for nothing.
    /// - Throws: `failedPrecondition` if others use what would go; `alreadyExists` if a view of another kind has the
    ///   name; `invalidArgument` if the object in its place is carried out, and this one cannot be.
    @discardableResult
    func apply(_ given: FeastObject, project asked: String) async throws(AerieError) -> String {
        var (object, project, found) = try await admitted(given, project: asked)
        let name = object.name
        let now = clock.now()
        object.stamp(created: found?.object.created ?? object.created ?? now, updated: now)
        // A client that applies a view again does not take away what was noted for it.
        let intervals = try (found?.object ?? object).materializations
        object.dropMaterializations()
        if let document = found?.document { try object.keepState(of: document) }
        let (resource, problem) = try await carryOut(object, project: project, over: found) {
            resource throws(AerieError) in try await resources.apply(resource, actor: Self.actor).resource
        }
        var document = DefinitionDocument(
            key: .init(project: project, kind: object.kind.rawValue, name: name), bytes: object.message.bytes,
            problem: problem)
        if let resource {
            document.resource = DefinitionDocument.Origin(resource)
            if found == nil, let view = try await store.catalog(project).declaredView(name) {
                for range in intervals {
                    try await store.noteMaterialization(of: view, from: range.lowerBound, to: range.upperBound)
                }
            }
        } else {
            object.add(intervals)
            document.bytes = object.message.bytes
        }
        try await documents.put(try await newProject(project, unless: object.kind == .project, at: now) + [document])
        return problem
    }

    /// The object in its project, which a project is itself, and what is there in its place.
    func admitted(
        _ given: FeastObject, project asked: String
    ) async throws(AerieError) -> (object: FeastObject, project: String, found: Entry?) {
        var object = given
        let name = object.name
        guard !name.isEmpty else { throw .invalid("name", "a \(object.kind.rawValue) needs a name") }
        let project = object.kind == .project ? name : asked
        guard !project.isEmpty else { throw .invalid("project", "must not be empty") }
        object.project = project
        if FeastKind.views.contains(object.kind) {
            // As Feast refuses them, whose references could not name such a view.
            for part in [":", "@"] where name.contains(part) {
                throw .invalid("name", "Feature view name '\(name)' must not contain '\(part)'")
            }
            try await refuseOther(object.kind, name, project: project)
        }
        return (object, project, try await entry(object.kind, name, project: project))
    }

    /// Applies the resource that an object means.
    /// - Parameter write: applies a resource, or looks what would come of it.
    /// - Returns: the resource, and what of the object it leaves out; no resource where all of it is kept alone, as
    ///   Feast would keep it.
    /// - Throws: `invalidArgument` where a resource would have to go for that: what others read and what is
    ///   materialized stays, and the client is told.
    func carryOut(
        _ object: FeastObject, project: String, over found: Entry?,
        write: (Resource) async throws(AerieError) -> Resource
    ) async throws(AerieError) -> (resource: Resource?, problem: String) {
        let outcome = try read(object, project: project, old: found?.resource)
        func refused(_ problem: String) -> AerieError {
            AerieError(
                .invalidArgument,
                "\(object.kind.rawValue) '\(object.name)' stays as it was: \(problem). To keep a definition that is not "
                    + "carried out, delete the one that is first",
                reason: outcome.failure.map(FeastFailure.reason))
        }
        guard var resource = outcome.resource else {
            if found?.resource != nil { throw refused(outcome.problem) }
            return (nil, outcome.problem)
        }
        if let found, let old = found.resource {
            let lost = try object.featureNames.filter { old.declares($0) && !resource.declares($0) }
            if !lost.isEmpty { throw refused(outcome.problem) }
            resource.merge(old, before: try read(found.object, project: project, old: old).resource)
        }
        do throws(AerieError) {
            return (try await write(resource), outcome.problem)
        } catch {
            guard error.code == .invalidArgument else { throw error }
            if found?.resource != nil { throw refused(error.message) }
            return (nil, error.message)
        }
    }

    /// What the object means here, and what of that is not carried out.
    func read(
        _ object: FeastObject, project: String, old: Resource?
    ) throws(AerieError) -> FeastDefinitionReader.Outcome {
        var outcome = try FeastDefinitionReader.read(object, project: project, old: old)
        if object.kind == .onDemandFeatureView, outcome.resource != nil, !store.runsFunctions {
            outcome.problem =
                "on-demand feature view '\(object.name)' computes in Python, which runs with --feature-python PATH"
        }
        return outcome
    }

    private func refuseOther(_ kind: FeastKind, _ name: String, project: String) async throws(AerieError) {
        for other in FeastKind.views where other != kind {
            guard let found = try await entry(other, name, project: project) else { continue }
            // A stream or on-demand view that was changed here is a feature view until its client applies it again.
            if kind == .streamFeatureView || kind == .onDemandFeatureView, found.document == nil {
                let key = DefinitionDocument.Key(project: project, kind: kind.rawValue, name: name)
                if try await documents.get(key) != nil { continue }
            }
            throw AerieError(
                .alreadyExists,
                "The name '\(name)' is taken by a \(other.rawValue) of project \(project); names of feature views "
                    + "must be unique across their kinds",
                reason: FeastFailure.reason("ConflictingFeatureViewNames"))
        }
    }

    /// The documents of a project that comes to be with its first object.
    private func newProject(
        _ name: String, unless isGiven: Bool, at time: Timestamp
    ) async throws(AerieError) -> [DefinitionDocument] {
        var made: [DefinitionDocument] = []
        func key(_ kind: FeastKind) -> DefinitionDocument.Key { .init(project: name, kind: kind.rawValue, name: name) }
        if !isGiven, try await documents.get(key(.project)) == nil {
            let project = Self.project(name, created: time)
            made.append(DefinitionDocument(key: key(.project), bytes: project.message.bytes))
        }
        if try await documents.get(key(.projectMetadata)) == nil {
            var metadata = ProtobufMessage()
            metadata.set(1, text: name)
            metadata.set(2, text: IdentifierSource.system.uuid())
            made.append(DefinitionDocument(key: key(.projectMetadata), bytes: metadata.bytes))
        }
        return made
    }

    /// Deletes an object of the first of the kinds that has one of the name, and its resource.
    /// - Throws: `notFound`; `failedPrecondition` with those that use it.
    func delete(_ kinds: [FeastKind], _ name: String, project: String) async throws(AerieError) {
        for kind in kinds {
            guard let found = try await entry(kind, name, project: project) else { continue }
            let users = try await users(of: found.object, project: project)
            guard users.isEmpty else {
                throw AerieError(
                    .failedPrecondition,
                    "\(kind.rawValue) '\(name)' is used by \(users.joined(separator: ", ")); change or delete these first",
                    reason: "feature.inUse")
            }
            if let resource = found.resource { _ = try await resources.delete(resource.key, actor: Self.actor) }
            if let document = found.document { _ = try await documents.delete(document.key) }
            return
        }
        throw (kinds.first ?? .featureView).missing(name, in: project)
    }

    /// Deletes a project with all that is in it: services first, then views, then what views are made of.
    func deleteProject(_ name: String) async throws(AerieError) {
        guard try await projects().contains(where: { $0.object.name == name }) else {
            throw FeastKind.project.missing(name, in: name)
        }
        let order: [FeastKind] = [.featureService, .onDemandFeatureView, .streamFeatureView, .labelView, .featureView]
        for kind in order + [.dataSource, .entity] {
            for entry in try await entries(kind, project: name) where entry.document != nil || entry.resource != nil {
                try await delete([kind], entry.object.name, project: name)
            }
        }
        try await documents.deleteAll(project: name)
    }

    /// Notes an interval that a client has materialized by itself.
    func materialized(view name: String, from: Int64, to: Int64, project: String) async throws(AerieError) {
        for kind in [FeastKind.featureView, .streamFeatureView] {
            guard let found = try await entry(kind, name, project: project) else { continue }
            if found.resource != nil, let view = try await store.catalog(project).declaredView(name) {
                return try await store.noteMaterialization(of: view, from: from, to: to)
            }
            guard var document = found.document, from <= to else { return }
            var object = try FeastObject(kind, bytes: document.bytes)
            object.add([from...to])
            object.stamp(created: object.created ?? clock.now(), updated: clock.now())
            document.bytes = object.message.bytes
            return try await documents.put([document])
        }
        throw FeastKind.featureView.missing(name, in: project)
    }
}

extension DefinitionDocument.Origin {
    fileprivate init(_ resource: Resource) {
        self.init(uid: resource.metadata.uid, generation: resource.metadata.generation)
    }
}
