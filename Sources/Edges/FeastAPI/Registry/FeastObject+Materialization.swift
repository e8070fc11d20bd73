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

    /// The intervals in the message, in microseconds; those that end before they begin are left out.
    var materializations: [ClosedRange<Int64>] {
        get throws(AerieError) {
            guard hasIntervals else { return [] }
            var found: [ClosedRange<Int64>] = []
            for interval in try meta.messages(Self.intervals) {
                guard let from = try interval.message(1).map(FeastTime.micros),
                    let to = try interval.message(2).map(FeastTime.micros), from <= to
                else { continue }
                found.append(from...to)
            }
            return found
        }
    }

    mutating func dropMaterializations() {
        guard hasIntervals else { return }
        var meta = meta
        meta.set(Self.intervals, nil)
        self.meta = meta
    }

    mutating func add(_ intervals: [ClosedRange<Int64>]) {
        guard hasIntervals, !intervals.isEmpty else { return }
        var meta = meta
        for range in intervals {
            var interval = ProtobufMessage()
            interval.set(1, message: FeastTime.message(micros: range.lowerBound))
            interval.set(2, message: FeastTime.message(micros: range.upperBound))
            meta.append(Self.intervals, message: interval)
        }
        meta.set(Self.state, number: Self.availableOnline)
        self.meta = meta
    }

    /// What Aerie itself knows of the view of a resource: its version, and what of that was materialized, which stands
    /// in the status.
    mutating func add(knownOf resource: Resource, in catalog: FeatureCatalog) {
        guard FeastKind.views.contains(kind), let view = catalog.declaredView(resource.metadata.name) else { return }
        if let version = view.version {
            var meta = meta
            meta.set(kind == .onDemandFeatureView ? 3 : 4, number: UInt64(version))
            self.meta = meta
        }
        add(view.materializedIntervals)
    }

    /// Definitions in files know no state; `feast feature-views set-state` applies a view with one.
    mutating func keepState(of document: DefinitionDocument) throws(AerieError) {
        guard hasIntervals, meta.number(Self.state) == 0 else { return }
        var meta = meta
        meta.set(Self.state, number: try FeastObject(kind, bytes: document.bytes).meta.number(Self.state))
        self.meta = meta
    }
}
