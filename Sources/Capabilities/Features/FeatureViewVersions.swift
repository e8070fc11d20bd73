public import AerieCore
import AerieJSON
import AerieResources

/// The versions of a feature view whose rows are kept apart online.
///
/// A version is what rows of the view hold: entities, features with their types, and how these are computed. Where rows
/// come from, how long they count, and what is said of them belongs to whichever version it is declared with. Versions
/// are counted from 0, and a definition that was there before makes a new one, both as in Feast 0.67
/// (`_schema_or_udf_changed`), which counts a changed description of a feature too.
struct FeatureViewVersions: Sendable {
    struct Version: Sendable {
        var number: Int
        /// The last that was declared of it.
        var spec: JSONObject
    }

    /// Oldest first.
    let all: [Version]
    /// By the versions of the definition, oldest first: the number of the one that each belongs to.
    let numbers: [Int]

    /// - Parameter history: every version of the view's definition, oldest first.
    init(_ history: [ResourceVersion], of name: String) {
        var all: [Version] = []
        var numbers: [Int] = []
        var present: Content?
        for entry in history {
            let spec = entry.declaration["spec"]?.object ?? [:]
            let content = Content(spec, name)
            if content == present, let last = all.indices.last {
                all[last].spec = spec
            } else {
                all.append(Version(number: all.count, spec: spec))
                present = content
            }
            numbers.append(all.count - 1)
        }
        self.all = all
        self.numbers = numbers
    }

    /// What makes two declarations one version.
    private struct Content: Equatable {
        var entities: Set<String>
        var types: [String: FeatureType]
        var lengths: [String: Int?]
        var windows: WindowDefinition?
        var onDemand: OnDemandDefinition?

        init(_ spec: JSONObject, _ name: String) {
            var problems: [AerieError.Detail] = []
            let view = FeatureViewDefinition.read(spec, name: name, path: "spec", problems: &problems)
            entities = Set(view.entities)
            types = Dictionary(view.features.map { ($0.name, $0.type) }) { first, _ in first }
            lengths = Dictionary(view.features.map { ($0.name, $0.vectorIndex?.length) }) { first, _ in first }
            windows = view.windows
            onDemand = view.onDemand
        }
    }
}

extension OnlineView {
    /// The name under which rows of a version are kept, as Feast's stores have it (`compute_versioned_name`).
    static func name(_ view: String, version: Int) -> String { version > 0 ? "\(view)_v\(version)" : view }
}

extension FeatureCatalog.View {
    private static let versions = "versions"

    /// What of a view's status is of one version: all of it for the first, and where versions are not kept apart, else
    /// the member of `versions` that has its number.
    static func status(_ status: JSONObject, version: Int?) -> JSONObject {
        guard let version, version > 0 else { return status }
        return status[versions]?["\(version)"]?.object ?? [:]
    }

    /// Changes in a whole status what is of this version.
    func change(_ status: inout JSONObject, _ change: (inout JSONObject) -> Void) {
        guard let version, version > 0 else { return change(&status) }
        var all = status[Self.versions]?.object ?? [:]
        var own = all["\(version)"]?.object ?? [:]
        change(&own)
        all["\(version)"] = .object(own)
        status[Self.versions] = .object(all)
    }
}

extension FeatureCatalog {
    /// A view, or one of its versions.
    /// - Parameter version: the present one can be named too; `nil` for the present one, whatever its number.
    /// - Throws: `notFound` (`feature_view.unknown`, `feature_view.version.unknown`); `failedPrecondition` for a view
    ///   that is switched off; `invalidArgument` where versions are not kept apart.
    public func view(_ name: String, version number: Int?) throws(AerieError) -> View {
        let view = try view(name)
        guard let number else { return view }
        guard let present = view.version else {
            let reason =
                view.online.windows == nil
                ? "start the server with --feature-view-versions" : "its windows are state of the present one"
            throw AerieError(
                .invalidArgument,
                "Version-qualified ref '\(name)\(FeatureName.suffix(number))' not supported: the versions of feature view "
                    + " \(name) are not kept apart online; \(reason)", reason: "feature_view.versions.off")
        }
        if number == present { return view }
        guard let found = earlier[name]?[number] else {
            throw AerieError(
                .notFound, "Version v\(number) of feature view \(name) does not exist in project \(namespace)",
                reason: "feature_view.version.unknown",
                details: [.init(field: name, problem: "has the versions v0 to v\(present)")])
        }
        return found
    }

    /// Every view, and every earlier version of one that is kept apart.
    var everyVersion: [View] { views.values + earlier.values.flatMap(\.values) }

    /// The view, or the earlier version of one, whose rows the online store keeps under that name.
    func view(keptAs name: String) -> View? { everyVersion.first { $0.online.name == name } }
}

/// A view that took part in an answer, and which of its versions; no number where versions are not kept apart.
public struct FeatureViewVersion: Sendable, Hashable {
    public var name: String
    public var version: Int?
}
