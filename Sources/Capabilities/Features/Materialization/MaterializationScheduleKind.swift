public import AerieCore
import AerieJSON
public import AerieResources

/// `kind: MaterializationSchedule`: when which views are materialized.
public struct MaterializationScheduleKind: ResourceKind {
    public init() {}

    public var name: String { "MaterializationSchedule" }
    public var allowsUnderscores: Bool { true }
    public var apiVersions: [String] { ["aerie.dev/v1"] }
    public var aliases: [String] { ["materializationschedule", "materializationschedules", "msched"] }
    public var columns: [(title: String, path: String)] {
        [
            ("SCHEDULE", "spec.schedule"), ("LAST", "status.lastRun"), ("RESULT", "status.lastResult"),
            ("NEXT", "status.nextRun"),
        ]
    }

    public var schema: FieldSchema {
        .object([
            Field("schedule", .string, required: true),
            Field("featureViews", .array(.string)),
            Field("mode", .choice(["incremental", "window"])),
            Field("window", .any),
            Field("missed", .choice(["once", "skip"])),
            Field("suspend", .bool),
            Field("description", .string),
        ])
    }

    public func validate(_ resource: Resource) -> [AerieError.Detail] {
        var problems: [AerieError.Detail] = []
        do throws(AerieError) { _ = try CronSchedule(resource.spec["schedule"]?.string ?? "") } catch {
            problems.append(.init(field: "spec.schedule", problem: error.details.first?.problem ?? error.message))
        }
        let window = resource.spec["window"].flatMap { FeatureViewDefinition.microseconds($0) } ?? 0
        if resource.spec["mode"]?.string == "window", window == 0 {
            problems.append(
                .init(field: "spec.window", problem: "says how far back each run reads; write 90m, 24h or 7d"))
        }
        return problems
    }
}

/// Runs what a `MaterializationSchedule` says. One run of a schedule at a time; what comes while it runs, or while
/// another materializes one of its views, comes after it, once. After a stop in which runs were missed one is made up
/// for, unless `missed: skip`.
public struct MaterializationScheduleController: Reconciler {
    private let store: FeatureStore
    private let clock: any WallClock
    /// Between two looks whether the views are free.
    private static let pause = Duration.seconds(2)

    public init(store: FeatureStore, clock: any WallClock = SystemClock()) {
        self.store = store
        self.clock = clock
    }

    public var kind: String { "MaterializationSchedule" }

    public func reconcile(_ resource: Resource) async throws(AerieError) -> Reconciliation {
        let schedule = try CronSchedule(resource.spec["schedule"]?.string ?? "")
        var status = resource.status ?? [:]
        guard resource.spec["suspend"]?.bool != true else {
            status["nextRun"] = .null
            return Reconciliation(status: status)
        }
        let now = clock.now().milliseconds / 1000
        // A new schedule, or one that was changed, begins from now on.
        let isKnown = status["schedule"] == resource.spec["schedule"]
        let planned = isKnown ? status["nextRun"]?.string.flatMap(FeatureTime.parse).map { $0 / 1_000_000 } : nil
        status["schedule"] = resource.spec["schedule"]
        if let planned, planned <= now {
            let isLate = now - planned > 60
            if isLate, resource.spec["missed"]?.string == "skip" {
                status["missed"] = .int((status["missed"]?.int ?? 0) + 1)
            } else if await !run(resource, &status) {
                return Reconciliation(status: status, requeueAfter: Self.pause)
            }
        }
        let after = clock.now().milliseconds / 1000
        let next = planned.flatMap { $0 > now ? $0 : nil } ?? schedule.next(after: after) ?? 0
        status["nextRun"] = .string(FeatureTime.text(next * 1_000_000))
        return Reconciliation(status: status, requeueAfter: .seconds(min(3600, max(1, next - after))))
    }

    public func removed(_ resource: Resource) async throws(AerieError) {}

    /// - Returns: false if nothing was done, as another materializes one of the views.
    private func run(_ resource: Resource, _ status: inout JSONObject) async -> Bool {
        let names = resource.spec["featureViews"]?.array?.compactMap(\.string)
        let end = clock.now().milliseconds * 1000
        let isWindow = resource.spec["mode"]?.string == "window"
        let window = resource.spec["window"].flatMap { FeatureViewDefinition.microseconds($0) }
        do throws(AerieError) {
            let results = try await store.materialize(
                names, from: isWindow ? window.map { max(0, end - $0) } : nil, to: end,
                namespace: resource.metadata.namespace, trigger: resource.metadata.name)
            status["lastResult"] = .string("succeeded")
            status["lastRows"] = .int(results.reduce(0) { $0 + $1.rows })
            status["lastError"] = nil
            let notes = results.flatMap { result in result.notes.map { "\(result.view): \($0)" } }
            status["lastNotes"] = notes.isEmpty ? nil : .array(notes.map(JSONValue.string))
        } catch {
            if error.reason == "materialization.running" { return false }
            status["lastResult"] = .string("failed")
            status["lastError"] = .string(error.message)
        }
        status["lastRun"] = .string(FeatureTime.text(end))
        return true
    }
}
