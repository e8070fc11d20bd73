import AerieCore
import AerieWire

/// Who uses what, as far as it is not among Aerie's own resources, which guard themselves.
extension FeastRegistry {
    /// The kind and name of each object that would miss this one.
    func users(of object: FeastObject, project: String) async throws(AerieError) -> [String] {
        switch object.kind {
        case .entity, .dataSource:
            var users: [String] = []
            for kind in FeastKind.views {
                for view in try await entries(kind, project: project)
                where object.kind == .dataSource || view.resource == nil {
                    if try view.object.uses(object) { users.append("\(kind.rawValue) '\(view.object.name)'") }
                }
            }
            return users
        case .featureView, .onDemandFeatureView, .streamFeatureView, .labelView:
            var users: [String] = []
            for kind in [FeastKind.featureService, .onDemandFeatureView] {
                for one in try await entries(kind, project: project) where one.resource == nil {
                    if try one.object.uses(object) { users.append("\(kind.rawValue) '\(one.object.name)'") }
                }
            }
            return users
        default: return []
        }
    }
}

extension FeastObject {
    /// The field of the spec that names a view's entities.
    private var entitiesField: Int {
        kind == .onDemandFeatureView ? 13 : 3
    }

    /// The fields of the spec that hold data sources.
    private var sourceFields: [Int] {
        switch kind {
        case .featureView: [7, 9]
        case .streamFeatureView: [10, 11]
        case .labelView: [7]
        default: []
        }
    }

    /// The field of the spec that lists features.
    var featuresField: Int { kind == .onDemandFeatureView ? 3 : 4 }

    /// Names of the features of a view; none for what is no view.
    var featureNames: [String] {
        get throws(AerieError) {
            guard FeastKind.views.contains(kind) else { return [] }
            return try spec.messages(featuresField).map { $0.text(1) }
        }
    }

    /// Names of the entities of a view.
    var entityNames: [String] { spec.texts(entitiesField) }

    /// Names of the data sources of a view.
    func sourceNames() throws(AerieError) -> [String] {
        var names: [String] = []
        for field in sourceFields {
            guard let source = try spec.message(field) else { continue }
            names.append(source.text(20))
        }
        for source in try onDemandSources() {
            if let request = try source.message(2) { names.append(request.text(20)) }
        }
        return names
    }

    /// Names of the views that a service or an on-demand view reads.
    func viewNames() throws(AerieError) -> [String] {
        if kind == .featureService { return try spec.messages(3).map { $0.text(1) } }
        var names: [String] = []
        for source in try onDemandSources() {
            if let projection = try source.message(3) { names.append(projection.text(1)) }
            if let view = try source.message(1) { names.append(try view.message(1)?.text(1) ?? "") }
        }
        return names
    }

    /// `OnDemandSource`: the values of the map in field 4.
    private func onDemandSources() throws(AerieError) -> [ProtobufMessage] {
        guard kind == .onDemandFeatureView else { return [] }
        var sources: [ProtobufMessage] = []
        for entry in try spec.messages(4) { if let source = try entry.message(2) { sources.append(source) } }
        return sources
    }

    fileprivate func uses(_ other: FeastObject) throws(AerieError) -> Bool {
        switch other.kind {
        case .entity: entityNames.contains(other.name)
        case .dataSource: try sourceNames().contains(other.name)
        default: try viewNames().contains(other.name)
        }
    }
}
