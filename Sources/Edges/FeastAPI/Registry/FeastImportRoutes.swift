import AerieCore
import AerieJSON
public import Hummingbird
import NIOCore

/// Bringing a Feast registry over: `POST imports/feast?project=&dry_run=`, the registry's bytes as the body; answered
/// by a report. The group of routes gives errors their form.
public struct FeastImportRoutes<Context: RequestContext>: Sendable {
    private static var bodyLimit: Int { 256 << 20 }

    private let registry: FeastRegistry

    public init(registry: FeastRegistry) { self.registry = registry }

    public func addRoutes(to group: some RouterMethods<Context>) {
        group.post("imports/feast") { request, _ in
            let query = request.uri.queryParameters
            let isDryRun = query["dry_run"].map { String($0) } ?? "false"
            guard ["true", "false"].contains(isDryRun) else {
                throw AerieError.invalid("dry_run", "must be true or false")
            }
            let body = try await request.body.collect(upTo: Self.bodyLimit)
            let report = try await registry.bringOver(
                Array(body.readableBytesView), project: query["project"].map { String($0) },
                isDryRun: isDryRun == "true")
            return FeastRoutes.json(Array(report.json.text().utf8)).response
        }
    }
}
