import AerieCore
import AerieJSON
import Features
import HTTPTypes
import Hummingbird

/// Materializations, statistics, quarantine, freshness and skew, under `/api/aerie/v1/features`.
extension FeatureRoutes {
    func addOperations(to api: some RouterMethods<Context>) {
        api.get("materializations") { request, _ in
            let view = request.uri.queryParameters["view"].map { String($0) }
            let runs = store.materializations.list(Self.namespace(request), view: view)
            return Response(json: ["materializations": .array(runs.map(Self.json))])
        }
        api.post("materializations/:id/cancel") { _, context in
            try store.materializations.cancel(try context.part("id"))
            return Response(json: [:])
        }
        api.get("views/:view/statistics") { request, context in
            let history = try await store.statistics(
                view: try context.part("view"), namespace: Self.namespace(request),
                limit: try Self.limit(request, 20))
            return Response(json: ["statistics": .array(history)])
        }
        api.get("views/:view/quarantine") { request, context in
            let rows = try await store.quarantine(
                view: try context.part("view"), namespace: Self.namespace(request),
                limit: try Self.limit(request, 100))
            return Response(json: ["rows": .array(rows)])
        }
        api.get("freshness") { request, _ in
            let catalog = try await store.catalog(Self.namespace(request))
            let views = catalog.views.values.sorted { $0.definition.name < $1.definition.name }
            return Response(json: ["views": .array(views.map { Self.freshness($0, store.counters.age(of: $0)) })])
        }
        api.get("skew") { _, _ in Response(json: Self.json(store.skew.latest)) }
        api.post("skew/compare") { _, _ in Response(json: Self.json(try await store.compareSampledReads())) }
    }

    private static func json(_ report: SkewReport?) -> JSONValue {
        guard let report else { return ["at": .null, "reads": 0, "features": [], "problems": []] }
        let lines = report.features.map { line -> JSONValue in
            [
                "namespace": .string(line.namespace), "view": .string(line.view), "feature": .string(line.feature),
                "compared": .int(line.compared), "different": .int(line.different),
                "mean_online": line.meanOnline.map(JSONValue.double) ?? .null,
                "mean_offline": line.meanOffline.map(JSONValue.double) ?? .null,
                "example": line.example.map(JSONValue.string) ?? .null,
            ]
        }
        return [
            "at": .string(FeatureTime.text(report.at)), "reads": .int(report.reads), "features": .array(lines),
            "problems": .array(report.problems.map(JSONValue.string)),
        ]
    }

    private static func freshness(_ view: FeatureCatalog.View, _ age: Int64?) -> JSONValue {
        func seconds(_ micros: Int64?) -> JSONValue { micros.map { .double(Double($0) / 1e6) } ?? .null }
        let target = view.definition.freshness
        var isMet = JSONValue.null
        if let target { isMet = .bool(age.map { $0 <= target } ?? false) }
        return [
            "view": .string(view.definition.name), "age_seconds": seconds(age), "target_seconds": seconds(target),
            "met": isMet,
        ]
    }

    static func limit(_ request: Request, _ usual: Int) throws(AerieError) -> Int {
        guard let text = request.uri.queryParameters["limit"] else { return usual }
        guard let limit = Int(text), (1...10_000).contains(limit) else {
            throw .invalid("limit", "\"\(text.prefix(20))\" is not a whole number from 1 to 10000")
        }
        return limit
    }

    static func json(_ run: MaterializationRun) -> JSONValue {
        [
            "id": .string(run.id), "view": .string(run.view), "trigger": .string(run.trigger),
            "start": .string(FeatureTime.text(run.from)), "end": .string(FeatureTime.text(run.to)),
            "rows": .int(run.rows), "total": .int(run.total), "state": .string(run.state.rawValue),
            "began": .string(FeatureTime.text(run.began)),
            "ended": run.ended.map { .string(FeatureTime.text($0)) } ?? .null,
            "error": run.error.map(JSONValue.string) ?? .null, "notes": .array(run.notes.map(JSONValue.string)),
        ]
    }
}
