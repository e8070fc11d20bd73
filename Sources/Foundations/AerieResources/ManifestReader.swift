public import AerieCore
import AerieJSON
import AerieYAML

/// One object of a manifest, checked, with what the user should know about it.
public struct Manifest: Sendable {
    public var resource: Resource
    /// Fields that are accepted without effect, and what the kind has to say.
    public var warnings: [String]
    /// The `resourceVersion` that the text named, for a caller that wants to replace just that version.
    public var version: Int64?
    /// Where the document begins in the text, from 1.
    public var line: Int?
}

/// Reads YAML or JSON text into resources of the known kinds.
///
/// Everything that is wrong, in all documents of the text, is reported together: each problem with the path of its
/// field and its line. Pure.
public struct ManifestReader: Sendable {
    public static let maximumDocuments = 1000

    private let kinds: KindRegistry
    private let namespace: String?

    /// - Parameter namespace: the one for objects that name none (`default` if `nil`); an object that names another is
    ///   refused.
    public init(kinds: KindRegistry, namespace: String? = nil) {
        self.kinds = kinds
        self.namespace = namespace
    }

    /// - Throws: `invalidArgument` whose details are all the problems of the text; `resourceExhausted` past a limit.
    public func read(_ text: String) throws(AerieError) -> [Manifest] {
        let documents = try YAMLDocument.parseAll(text)
        guard !documents.isEmpty else { throw .invalid("", "the text holds no object") }
        guard documents.count <= Self.maximumDocuments else {
            throw AerieError(
                .resourceExhausted,
                "\(documents.count) documents in one text; at most \(Self.maximumDocuments) are read")
        }
        var manifests: [Manifest] = []
        var problems: [AerieError.Detail] = []
        var seen: [ResourceKey: Int] = [:]
        for document in documents {
            for (manifest, wrong) in read(all: document) {
                problems += wrong
                guard let manifest else { continue }
                if let earlier = seen[manifest.resource.key] {
                    let problem = "\(manifest.resource.key) stands in this text already, on line \(earlier)"
                    let line = document.line(of: "metadata.name")
                    problems.append(.init(field: "metadata.name", problem: problem, line: line))
                }
                seen[manifest.resource.key] = manifest.line ?? 1
                manifests.append(manifest)
            }
        }
        if let error = AerieError.invalid("the manifest is wrong", problems: problems) { throw error }
        return manifests
    }

    /// The objects of a document: one, or as many as a foreign one means.
    private func read(all document: YAMLDocument) -> [(Manifest?, [AerieError.Detail])] {
        guard let foreign = kinds.foreign.lazy.compactMap({ $0.translate(document.value) }).first else {
            return [read(document.value, at: "", of: document)]
        }
        var results = foreign.objects.map { object -> (Manifest?, [AerieError.Detail]) in
            read(object.value, at: object.path, of: document)
        }
        if results.first?.0 != nil { results[0].0?.warnings += foreign.warnings }
        results.append((nil, document.locate(foreign.problems)))
        return results
    }

    /// - Parameter path: where in the document the object comes from; problems are on its line then.
    private func read(
        _ value: JSONValue, at path: String, of document: YAMLDocument
    ) -> (Manifest?, [AerieError.Detail]) {
        func located(_ problems: [AerieError.Detail]) -> [AerieError.Detail] {
            path.isEmpty
                ? document.locate(problems)
                : problems.map { problem in
                    var placed = problem
                    placed.line = document.line(of: path)
                    placed.field = "\(path) (\(problem.field))"
                    return placed
                }
        }
        guard value.object != nil else {
            return (nil, [.init(field: "", problem: "an object with apiVersion, kind, metadata and spec was expected",
                                line: document.line(of: ""))])
        }
        let (kind, kindProblem) = kind(of: value)
        let shape = Self.shape(spec: kind?.schema ?? .any)
        var (problems, warnings) = SchemaChecker.check(value, against: shape)
        if let kindProblem { problems.append(kindProblem) }
        if let kind, value["spec"] == nil || value["spec"] == .null {
            problems += SchemaChecker.check(.object(JSONObject()), against: kind.schema, at: "spec").problems
        }
        problems += checkMetadata(value["metadata"], allowsUnderscores: kind?.allowsUnderscores ?? false)
        guard problems.isEmpty, let kind else { return (nil, located(problems)) }
        guard let resource = resource(value, kind: kind) else { return (nil, located(problems)) }
        problems = kind.validate(resource)
        warnings += kind.warnings(resource)
        return (
            Manifest(
                resource: resource, warnings: warnings,
                version: Self.version(value["metadata"]?["resourceVersion"]), line: document.line(of: path)),
            located(problems)
        )
    }

    private func kind(of value: JSONValue) -> ((any ResourceKind)?, AerieError.Detail?) {
        guard let name = value["kind"]?.string, let version = value["apiVersion"]?.string else { return (nil, nil) }
        guard let kind = kinds.kind(named: name) else {
            let hint = NearestName.hint(name, among: kinds.all.map(\.name))
            return (nil, .init(field: "kind", problem: "there is no kind \"\(SchemaChecker.cut(name))\"\(hint)"))
        }
        guard kind.apiVersions.contains(version) else {
            let known = kind.apiVersions.joined(separator: " or ")
            let problem = "\"\(SchemaChecker.cut(version))\" is not served for \(name); write \(known)"
            return (kind, .init(field: "apiVersion", problem: problem))
        }
        return (kind, nil)
    }

    /// The members that every object has. What a server made is accepted and left out, so that what was read with
    /// `get -o yaml`, here or from Kubernetes, can be applied as it is.
    private static func shape(spec: FieldSchema) -> FieldSchema {
        let serverMade = ["creationTimestamp", "uid", "resourceVersion", "generation", "managedFields", "selfLink"]
        let unused = [
            "ownerReferences", "finalizers", "generateName", "deletionTimestamp", "deletionGracePeriodSeconds",
        ]
        return .object([
            Field("apiVersion", .string, required: true),
            Field("kind", .string, required: true),
            Field("metadata", .object([
                Field("name", .string, required: true), Field("namespace", .string),
                Field("labels", .map(.string)), Field("annotations", .map(.string)),
            ] + serverMade.map { Field($0, .any) }
              + unused.map { Field($0, .any, support: .accepted(note: "Aerie does not use it")) }), required: true),
            Field("spec", spec),
            Field("status", .any),
        ])
    }

    private func checkMetadata(_ metadata: JSONValue?, allowsUnderscores: Bool) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        func note(_ field: String, _ problem: String?) {
            if let problem { problems.append(.init(field: field, problem: problem)) }
        }
        if let name = metadata?["name"]?.string {
            note("metadata.name", NameRules.problem(name: name, allowsUnderscores: allowsUnderscores))
        }
        let written = metadata?["namespace"]?.string
        if let used = written ?? namespace {
            note("metadata.namespace", NameRules.problem(namespace: used))
        }
        if let written, let namespace, namespace != written {
            note("metadata.namespace", "is \"\(written)\", but the request is for \"\(namespace)\"")
        }
        for (field, isLabel) in [("labels", true), ("annotations", false)] {
            for member in metadata?[field]?.object?.members ?? [] {
                let path = "metadata.\(field).\(member.key)"
                note(path, NameRules.problem(labelKey: member.key))
                if isLabel, let value = member.value.string { note(path, NameRules.problem(labelValue: value)) }
            }
        }
        return problems
    }

    private func resource(_ value: JSONValue, kind: any ResourceKind) -> Resource? {
        guard var resource = try? Resource(json: value) else { return nil }
        resource.apiVersion = kind.apiVersions.first ?? resource.apiVersion
        resource.status = nil
        resource.metadata = ResourceMetadata(
            name: resource.metadata.name, namespace: value["metadata"]?["namespace"]?.string ?? namespace ?? "default",
            labels: resource.metadata.labels, annotations: resource.metadata.annotations)
        return resource
    }

    private static func version(_ value: JSONValue?) -> Int64? { value?.int ?? value?.string.flatMap { Int64($0) } }
}
