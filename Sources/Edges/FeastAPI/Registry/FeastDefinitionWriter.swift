import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features

/// Aerie's own definitions as objects of Feast's registry, so that its SDK sees what was applied as YAML.
///
/// Pure. Messages are those of `feast.core` in Feast 0.67.
enum FeastDefinitionWriter {
    static func object(_ resource: Resource, catalog: FeatureCatalog) throws(AerieError) -> FeastObject? {
        var object: FeastObject
        switch resource.kind {
        case "Entity": object = FeastObject(.entity, message: entity(resource))
        case "FeatureView":
            guard let view = catalog.declaredView(resource.metadata.name) else { return nil }
            object = FeastObject(.featureView, message: self.view(resource, view))
        case "FeatureService":
            guard let service = catalog.services[resource.metadata.name] else { return nil }
            object = FeastObject(.featureService, message: self.service(resource, service, catalog))
        default: return nil
        }
        let time = resource.metadata.created ?? Timestamp(milliseconds: 0)
        object.stamp(created: time, updated: time)
        return object
    }

    private static func whole(_ spec: ProtobufMessage) -> ProtobufMessage {
        var message = ProtobufMessage()
        message.set(1, message: spec)
        return message
    }

    private static func tags(_ resource: Resource) -> [(key: String, value: String)] {
        (resource.spec["tags"]?.object?.members ?? []).map { ($0.key, $0.value.string ?? "") }
    }

    private static func text(_ resource: Resource, _ name: String) -> String { resource.spec[name]?.string ?? "" }

    private static func entity(_ resource: Resource) -> ProtobufMessage {
        var spec = ProtobufMessage()
        spec.set(1, text: resource.metadata.name)
        let type = resource.spec["valueType"]?.string.flatMap { FeatureType(name: $0) }
        spec.set(2, number: type.map(FeastValueType.number) ?? 0)
        spec.set(3, text: text(resource, "description"))
        spec.set(4, text: EntityKind.joinKey(resource))
        spec.append(8, map: tags(resource))
        spec.set(9, text: resource.metadata.namespace)
        spec.set(10, text: text(resource, "owner"))
        return whole(spec)
    }

    /// `FeatureSpecV2`.
    private static func field(
        _ name: String, _ type: FeatureType?, description: String = "", tags: [(key: String, value: String)] = [],
        vectorIndex: VectorIndex? = nil
    ) -> ProtobufMessage {
        var field = ProtobufMessage()
        field.set(1, text: name)
        field.set(2, number: type.map(FeastValueType.number) ?? 0)
        field.append(3, map: tags)
        field.set(4, text: description)
        if let vectorIndex {
            field.set(5, number: 1)
            field.set(6, text: vectorIndex.metric?.rawValue ?? "")
            field.set(7, number: UInt64(vectorIndex.length ?? 0))
        }
        return field
    }

    private static func fields(_ resource: Resource, _ view: FeatureCatalog.View) -> [ProtobufMessage] {
        let declared = resource.spec["features"]?.array ?? []
        return view.definition.features.map { feature in
            let tags = declared.first { $0["name"]?.string == feature.name }?["tags"]?.object?.members ?? []
            return field(
                feature.name, feature.type, description: feature.description,
                tags: tags.map { ($0.key, $0.value.string ?? "") }, vectorIndex: feature.vectorIndex)
        }
    }

    private static func view(_ resource: Resource, _ view: FeatureCatalog.View) -> ProtobufMessage {
        var spec = ProtobufMessage()
        spec.set(1, text: view.definition.name)
        spec.set(2, text: resource.metadata.namespace)
        let entities = view.definition.entities
        for entity in entities.isEmpty ? [FeastDefinitionReader.noEntity] : entities { spec.append(3, text: entity) }
        for field in fields(resource, view) { spec.append(4, message: field) }
        spec.append(5, map: tags(resource))
        spec.set(6, message: FeastTime.message(micros: view.definition.timeToLive ?? 0))
        let source = source(of: view, project: resource.metadata.namespace)
        spec.set(7, message: source)
        spec.set(8, number: view.isOnline ? 1 : 0)
        if let push = view.pushSource {
            spec.set(9, message: pushSource(push, batch: source, project: resource.metadata.namespace))
        }
        spec.set(10, text: view.description)
        spec.set(11, text: view.owner)
        if entities.isEmpty {
            spec.append(12, message: field(FeastDefinitionReader.noEntity + "_id", .string))
        }
        for entity in entities {
            guard let key = view.joinKeys.first(where: { $0.entity == entity }) else { continue }
            spec.append(12, message: field(key.name, key.type ?? .string))
        }
        if resource.spec["disabled"]?.bool == true { spec.set(20, number: 1) }
        return whole(spec)
    }

    /// The source of a view that was declared here. Its name is the view's, with `_source`.
    static func source(of view: FeatureCatalog.View, project: String) -> ProtobufMessage {
        let definition = view.definition
        var source = ProtobufMessage()
        source.set(20, text: definition.name + "_source")
        source.set(21, text: project)
        source.append(2, map: definition.fieldMapping.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
        source.set(3, text: definition.timestampField ?? "event_timestamp")
        source.set(5, text: definition.createdTimestampColumn ?? "")
        if let place = FeastSourcePlace(definition) {
            source.set(1, number: 1)
            source.set(17, text: "feast.infra.offline_stores.file_source.FileSource")
            var parquet = ProtobufMessage()
            parquet.append(1, message: ProtobufMessage())
            var options = ProtobufMessage()
            options.set(1, message: parquet)
            options.set(2, text: place.path)
            source.set(11, message: options)
        } else {
            source.set(1, number: 2)
            source.set(17, text: "feast.infra.offline_stores.bigquery_source.BigQuerySource")
            var options = ProtobufMessage()
            options.set(1, text: definition.location)
            source.set(12, message: options)
        }
        return source
    }

    static func pushSource(_ name: String, batch: ProtobufMessage, project: String) -> ProtobufMessage {
        var source = ProtobufMessage()
        source.set(20, text: name)
        source.set(21, text: project)
        source.set(1, number: 9)
        source.set(17, text: "feast.data_source.PushSource")
        source.append(22, message: ProtobufMessage())
        source.set(26, message: batch)
        return source
    }

    private static func service(
        _ resource: Resource, _ service: FeatureCatalog.Service, _ catalog: FeatureCatalog
    ) -> ProtobufMessage {
        var spec = ProtobufMessage()
        spec.set(1, text: service.name)
        spec.set(2, text: resource.metadata.namespace)
        var views: [FeatureReference] = []
        for reference in service.references where !views.contains(where: { $0.outputView == reference.outputView }) {
            views.append(reference)
        }
        for first in views {
            let name = first.view
            var projection = ProtobufMessage()
            projection.set(1, text: name)
            projection.set(3, text: first.alias ?? "")
            if let version = first.version { projection.set(10, .varint(UInt64(version))) }
            let view = (try? catalog.view(name, version: first.version)) ?? catalog.declaredView(name)
            projection.append(4, map: first.joinKeys.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
            for reference in service.references where reference.outputView == first.outputView {
                let feature = view?.definition.features.first { $0.name == reference.feature }
                projection.append(
                    2,
                    message: field(
                        reference.feature, feature?.type, description: feature?.description ?? "",
                        vectorIndex: feature?.vectorIndex))
            }
            if let view {
                projection.set(5, text: view.definition.timestampField ?? "event_timestamp")
                projection.set(7, text: view.definition.createdTimestampColumn ?? "")
                projection.set(8, message: source(of: view, project: resource.metadata.namespace))
            }
            spec.append(3, message: projection)
        }
        spec.append(4, map: tags(resource))
        spec.set(5, text: text(resource, "description"))
        spec.set(6, text: text(resource, "owner"))
        return whole(spec)
    }
}
