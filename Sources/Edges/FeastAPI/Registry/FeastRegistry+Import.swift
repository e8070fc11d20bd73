public import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features
import Foundation

/// What came of a registry that was brought over.
public struct FeastImportReport: Sendable {
    /// Of each kind, in the order in which they are applied.
    public var counts: [(kind: String, count: Int)] = []
    public var projects: Set<String> = []
    /// What is kept and not carried out, or needs a hand, each with its object.
    public var problems: [String] = []

    var json: JSONValue {
        var kinds = JSONObject()
        for (kind, count) in counts { kinds[kind] = .int(Int64(count)) }
        return [
            "kinds": .object(kinds), "projects": .array(projects.sorted().map { .string($0) }),
            "problems": .array(problems.map { .string($0) }),
        ]
    }
}

extension FeastRegistry {
    /// What others stand on comes first.
    private static let importOrder: [FeastKind] = [
        .project, .entity, .dataSource, .featureView, .streamFeatureView, .onDemandFeatureView, .labelView,
        .featureService, .savedDataset, .validationReference, .permission,
    ]

    /// Applies every object of a `feast.core.Registry`. It can be run again: objects are replaced by their names.
    /// - Parameters:
    ///   - project: the only one to bring over; `nil` for all.
    ///   - isDryRun: reports what would come of it, and changes nothing.
    /// - Throws: `invalidArgument` if the bytes are no registry; nothing is changed then.
    public func bringOver(
        _ bytes: [UInt8], project: String? = nil, isDryRun: Bool = false
    ) async throws(AerieError) -> FeastImportReport {
        let registry = try ProtobufMessage(bytes: bytes)
        var objects: [FeastObject] = []
        for kind in Self.importOrder {
            guard let field = kind.registryField else { continue }
            for bytes in registry.all(field) {
                let object = try FeastObject(kind, bytes: bytes)
                let home = kind == .project ? object.name : object.project
                if project == nil || project == home { objects.append(object) }
            }
        }
        guard !objects.isEmpty else {
            throw .invalid("", project.map { "the registry has no project '\($0)'" } ?? "the registry is empty")
        }
        var report = FeastImportReport()
        var planned = resources.nothingPlanned
        for kind in Self.importOrder {
            let some = objects.filter { $0.kind == kind }
            if !some.isEmpty { report.counts.append((kind.rawValue, some.count)) }
            for object in some {
                let home = kind == .project ? object.name : object.project
                report.projects.insert(home)
                // One that is refused for what it says holds up no other.
                do throws(AerieError) {
                    let problem =
                        isDryRun
                        ? try await foretell(object, project: home, in: &planned)
                        : try await apply(object, project: home)
                    if !problem.isEmpty { report.problems.append("\(home): \(problem)") }
                    report.problems += try warnings(object, project: home).map { "\(home): \($0)" }
                } catch {
                    guard error.code == .invalidArgument else { throw error }
                    report.problems.append("\(home): \(error.message)")
                }
            }
        }
        return report
    }

    /// What `apply` would answer after what is planned, which the object's resource is added to. Changes nothing.
    private func foretell(
        _ given: FeastObject, project asked: String, in planned: inout PlannedResources
    ) async throws(AerieError) -> String {
        let (object, project, found) = try await admitted(given, project: asked)
        return try await carryOut(object, project: project, over: found) { resource throws(AerieError) in
            try await resources.plan(resource, in: &planned)
        }.problem
    }

    /// What of a feature view has to be seen to before its source can be read.
    private func warnings(_ object: FeastObject, project: String) throws(AerieError) -> [String] {
        guard object.kind == .featureView,
            let resource = try FeastDefinitionReader.read(object, project: project, old: nil).resource
        else { return [] }
        var warnings = resources.kinds.kind(named: resource.kind)?.warnings(resource) ?? []
        if let path = resource.spec["source"]?["path"]?.string, !path.contains("://"), !path.contains("*") {
            if !path.hasPrefix("/") {
                warnings.append(
                    "feature view '\(object.name)' reads '\(path)', a path from the folder in which the server runs")
            } else if !FileManager.default.fileExists(atPath: path) {
                warnings.append("feature view '\(object.name)' reads '\(path)', which is not on the server's machine")
            }
        }
        return warnings
    }
}
