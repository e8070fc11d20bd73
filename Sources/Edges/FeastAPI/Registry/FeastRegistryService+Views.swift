import AerieCore
import AerieGRPC
import AerieWire
import Features

/// Feature views of every kind, and what is in them.
extension FeastRegistryService {
    /// The fields of `ApplyFeatureViewRequest` and of `AnyFeatureView` that hold each kind.
    private static let fields: [(kind: FeastKind, applied: Int, any: Int)] = [
        (.featureView, 1, 1), (.onDemandFeatureView, 2, 2), (.streamFeatureView, 3, 3), (.labelView, 6, 4),
    ]

    private static func any(_ object: FeastObject) -> ProtobufMessage {
        var any = ProtobufMessage()
        any.set(fields.first { $0.kind == object.kind }?.any ?? 1, message: object.message)
        return any
    }

    func viewMethods() -> [String: GRPCMethod] {
        [
            "ApplyFeatureView": method { call throws(AerieError) in
                guard let field = Self.fields.first(where: { call.message.has($0.applied) }) else {
                    throw .invalid("base_feature_view", "the request holds no feature view")
                }
                let object = try FeastObject(field.kind, bytes: call.message.data(field.applied) ?? [])
                try await registry.change(
                    .apply(object, project: call.message.text(4)), isCommitted: call.message.number(5) != 0,
                    connection: call.connection)
                return Self.empty
            },
            "DeleteFeatureView": method { call throws(AerieError) in try await delete(FeastKind.views, call) },
            "GetAnyFeatureView": method { call throws(AerieError) in
                for kind in FeastKind.views {
                    guard let entry = try await registry.entry(kind, call.name, project: call.project) else { continue }
                    var answer = ProtobufMessage()
                    answer.set(1, message: Self.any(entry.object))
                    return answer
                }
                throw FeastKind.featureView.missing(call.name, in: call.project)
            },
            "ListAllFeatureViews": method { call throws(AerieError) in try await listAll(call) },
            "ApplyMaterialization": method { call throws(AerieError) in
                let view = try FeastObject(.featureView, bytes: call.message.data(1) ?? [])
                try await registry.materialized(
                    view: view.name, from: FeastTime.micros(try call.message.message(3) ?? Self.empty),
                    to: FeastTime.micros(try call.message.message(4) ?? Self.empty), project: call.project)
                return Self.empty
            },
            "ListFeatures": method { call throws(AerieError) in try await listFeatures(call) },
            "GetFeature": method { call throws(AerieError) in
                let (view, name) = (call.message.text(2), call.message.text(3))
                let found = try await features(call.message.text(1)) { $0.name == view }
                guard let feature = found.first(where: { $0.message.text(1) == name }) else {
                    throw AerieError(
                        .notFound, "Feature \(name) not found in feature view \(view)",
                        reason: FeastFailure.reason("FeastObjectNotFoundException"))
                }
                return feature.message
            },
        ]
    }

    /// `ListAllFeatureViewsRequest {1: project, 3: tags, 4: entity, 5: feature, 6: feature_service, 7: data_source,
    /// 8: pagination, 9: sorting, 10: updated_since}`. Label views are not among them, as in Feast.
    private func listAll(_ call: Call) async throws(AerieError) -> ProtobufMessage {
        let request = call.message
        let project = request.text(1)
        var members: [String]?
        if !request.text(6).isEmpty {
            let service = try await registry.entry(.featureService, request.text(6), project: project)
            members = try service?.object.viewNames() ?? []
        }
        let since = try request.message(10).map { FeastTime.timestamp($0) }
        let tags = try request.map(3)
        var found: [(FeastObject, ProtobufMessage)] = []
        for kind in [FeastKind.featureView, .onDemandFeatureView, .streamFeatureView] {
            for entry in try await registry.entries(kind, project: project) {
                let view = entry.object
                let own = view.tags
                guard tags.allSatisfy({ own[$0.key] == $0.value }), members?.contains(view.name) ?? true else {
                    continue
                }
                if let since, view.updated ?? since < since { continue }
                if !request.text(4).isEmpty, !view.entityNames.contains(request.text(4)) { continue }
                if !request.text(7).isEmpty, !(try view.sourceNames().contains(request.text(7))) { continue }
                if !request.text(5).isEmpty {
                    let names = try view.spec.messages(view.featuresField).map { $0.text(1) }
                    if !names.contains(request.text(5)) { continue }
                }
                found.append((view, Self.any(view)))
            }
        }
        return try FeastList(request, tags: 0, page: 8).answer(found)
    }

    /// `ListFeaturesRequest {1: project, 2: feature_view, 3: name, 4: pagination, 5: sorting, 7: kind}`.
    private func listFeatures(_ call: Call) async throws(AerieError) -> ProtobufMessage {
        let request = call.message
        let found = try await features(request.text(1)) { view in
            let kind = view.kind == .labelView ? "label" : "feature"
            return (request.text(7).isEmpty || request.text(7) == kind)
                && (request.text(2).isEmpty || request.text(2) == view.name)
        }.filter { request.text(3).isEmpty || $0.message.text(1) == request.text(3) }
        return try FeastList(request, tags: 0, page: 4).answer(found)
    }

    /// `Feature {1: name, 2: feature_view, 3: type, 4: description, 5: owner, 6: created, 7: updated, 8: tags,
    /// 9: kind}`, of the views that are wanted.
    private func features(
        _ project: String, of isWanted: (FeastObject) -> Bool
    ) async throws(AerieError) -> [(object: FeastObject, message: ProtobufMessage)] {
        var found: [(object: FeastObject, message: ProtobufMessage)] = []
        for kind in FeastKind.views {
            for entry in try await registry.entries(kind, project: project) where isWanted(entry.object) {
                let view = entry.object
                for field in try view.spec.messages(view.featuresField) {
                    var feature = ProtobufMessage()
                    feature.set(1, text: field.text(1))
                    feature.set(2, text: view.name)
                    feature.set(3, text: FeastValueType.pythonName(field.number(2)))
                    feature.set(4, text: field.text(4))
                    feature.set(6, message: view.created.map { FeastTime.message($0) })
                    feature.set(7, message: view.updated.map { FeastTime.message($0) })
                    feature.append(8, map: try field.map(3))
                    feature.set(9, text: kind == .labelView ? "label" : "feature")
                    // Features are sorted by their own names.
                    var spec = ProtobufMessage()
                    spec.set(1, text: field.text(1))
                    var object = FeastObject(.featureView, message: ProtobufMessage())
                    object.spec = spec
                    if let created = view.created, let updated = view.updated {
                        object.stamp(created: created, updated: updated)
                    }
                    found.append((object, feature))
                }
            }
        }
        return found
    }
}
