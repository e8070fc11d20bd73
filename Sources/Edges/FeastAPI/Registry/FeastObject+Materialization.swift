import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features

/// `FeatureViewMeta.materialization_intervals`, field 3, `current_version_number`, field 4 (3 in the meta of an
/// on-demand view), and `state`, field 6.
extension FeastObject {
    private static let intervals = 3
    private static let state = 6
    private static let availableOnline: UInt64 = 4

    private var hasIntervals: Bool { kind == .featureView || kind == .streamFeatureView }

    mutating func add(materialization from: Int64, _ to: Int64) {
        guard hasIntervals else { return }
        var interval = ProtobufMessage()
        interval.set(1, message: FeastTime.message(micros: from))
        interval.set(2, message: FeastTime.message(micros: to))
        var meta = meta
        meta.append(Self.intervals, message: interval)
        meta.set(Self.state, number: Self.availableOnline)
        self.meta = meta
    }

    /// What Aerie itself knows of the view of a resource: its version, and what of that was materialized, which stands
    /// in the status.
    mutating func add(knownOf resource: Resource, in catalog: FeatureCatalog) {
        guard FeastKind.views.contains(kind) else { return }
        let view = catalog.declaredView(resource.metadata.name)
        if let version = view?.version {
            var meta = meta
            meta.set(kind == .onDemandFeatureView ? 3 : 4, number: UInt64(version))
            self.meta = meta
        }
        guard hasIntervals else { return }
        for interval in (view?.status ?? resource.status)?["materializations"]?.array ?? [] {
            guard let from = interval["start"]?.string.flatMap(FeatureTime.parse),
                let to = interval["end"]?.string.flatMap(FeatureTime.parse)
            else { continue }
            add(materialization: from, to)
        }
    }

    /// A client that applies a view again does not take away what was noted for it.
    mutating func keepMaterializations(of found: FeastRegistry.Entry) throws(AerieError) {
        guard hasIntervals else { return }
        var meta = meta
        meta.set(Self.intervals, nil)
        if let document = found.document {
            let old = try FeastObject(kind, bytes: document.bytes).meta
            for field in old.fields where field.number == Self.intervals { meta.fields.append(field) }
            // Definitions in files know no state; `feast feature-views set-state` applies a view with one.
            if meta.number(Self.state) == 0 { meta.set(Self.state, number: old.number(Self.state)) }
        }
        self.meta = meta
    }
}
