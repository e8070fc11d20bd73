import AerieCore
import AerieGRPC
import AerieWire
import Features

/// What depends on what, as Feast's user interface draws it.
extension FeastRegistryService {
    func catalogMethods() -> [String: GRPCMethod] {
        let unsupported = method { _ throws(AerieError) in
            throw AerieError(
                .unsupported, "saved datasets are listed here; they are made and read by the client's own offline store")
        }
        return [
            "GetRegistryLineage": method { call throws(AerieError) in
                let request = call.message
                var (direct, indirect) = try await relations(project: request.text(1))
                func isWanted(_ relation: FeastRelation) -> Bool {
                    [relation.source, relation.target].contains { end in
                        (request.text(3).isEmpty || request.text(3) == end.type)
                            && (request.text(4).isEmpty || request.text(4) == end.name)
                    }
                }
                direct.removeAll { !isWanted($0) }
                indirect.removeAll { !isWanted($0) }
                var answer = ProtobufMessage()
                let pages = try FeastList(request, tags: 0, page: 5)
                for (field, list) in [(1, direct), (2, indirect)] {
                    let page = pages.answer(list.map { ($0.object, $0.message) })
                    for one in try page.messages(1) { answer.append(field, message: one) }
                    answer.set(field + 2, message: try page.message(2))
                }
                return answer
            },
            "GetObjectRelationships": method { call throws(AerieError) in
                let request = call.message
                let (direct, indirect) = try await relations(project: request.text(1))
                let end = FeastRelation.End(type: request.text(2), name: request.text(3))
                let found = (request.number(4) != 0 ? direct + indirect : direct).filter {
                    $0.source == end || $0.target == end
                }
                return try FeastList(request, tags: 0, page: 6).answer(found.map { ($0.object, $0.message) })
            },
            "CreateDatasetFromRetrieval": unsupported,
            "GetDatasetData": unsupported,
            "GetDatasetJobStatus": unsupported,
            "ListDatasetJobs": method { _ throws(AerieError) in Self.empty },
        ]
    }

    /// Each with its next, and each with what comes of it by way of a view.
    private func relations(
        project: String
    ) async throws(AerieError) -> (direct: [FeastRelation], indirect: [FeastRelation]) {
        var direct: [FeastRelation] = []
        var kinds: [String: FeastKind] = [:]
        for kind in FeastKind.views {
            for entry in try await registry.entries(kind, project: project) {
                let view = entry.object
                kinds[view.name] = kind
                let target = FeastRelation.End(type: kind == .labelView ? "labelView" : "featureView", name: view.name)
                func add(_ type: String, _ names: [String]) {
                    direct += names.map { FeastRelation(source: .init(type: type, name: $0), target: target) }
                }
                add("entity", view.entityNames)
                add("feature", try view.spec.messages(view.featuresField).map { $0.text(1) })
                add("dataSource", try view.sourceNames())
                add("featureView", try view.viewNames())
            }
        }
        for entry in try await registry.entries(.featureService, project: project) {
            for name in try entry.object.viewNames() {
                let type = kinds[name] == .labelView ? "labelView" : "featureView"
                direct.append(
                    FeastRelation(
                        source: .init(type: type, name: name),
                        target: .init(type: "featureService", name: entry.object.name)))
            }
        }
        var indirect: [FeastRelation] = []
        let next = Dictionary(grouping: direct) { $0.source }
        for relation in direct {
            for further in next[relation.target] ?? [] {
                let one = FeastRelation(source: relation.source, target: further.target)
                if !indirect.contains(one) { indirect.append(one) }
            }
        }
        return (direct, indirect)
    }
}

/// `EntityRelation {1: source, 2: target}`, each `EntityReference {1: type, 2: name}`.
struct FeastRelation: Sendable, Hashable {
    struct End: Sendable, Hashable {
        var type: String
        var name: String

        var message: ProtobufMessage {
            var message = ProtobufMessage()
            message.set(1, text: type)
            message.set(2, text: name)
            return message
        }
    }

    var source: End
    var target: End

    var message: ProtobufMessage {
        var message = ProtobufMessage()
        message.set(1, message: source.message)
        message.set(2, message: target.message)
        return message
    }

    /// For lists, which sort by names.
    var object: FeastObject {
        var spec = ProtobufMessage()
        spec.set(1, text: source.name)
        var object = FeastObject(.entity, message: ProtobufMessage())
        object.spec = spec
        return object
    }
}
