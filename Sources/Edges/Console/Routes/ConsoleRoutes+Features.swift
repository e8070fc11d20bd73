import AerieCore
import AerieJSON
import AerieResources
import Features
import Hummingbird
import Logging

extension ConsoleRoutes {
    func registerFeatures(on router: Router<some RequestContext>) {
        guard let store = services.features else { return }
        page(router, "/console/features") { request, _ throws(AerieError) in
            let (items, problems) = try await catalogue(store)
            let search = FormFields.values(request.uri.query, of: "search").last ?? ""
            return FeaturePages.catalogue(items, search: search, problems: problems)
        }
        page(router, "/console/features/runs") { _, _ throws(AerieError) in
            var runs: [MaterializationRun] = []
            for namespace in try await namespaces(store) { runs += store.materializations.list(namespace) }
            return MaterializationPages.page(
                runs.sorted { $0.began > $1.began },
                schedules: try await services.resources.list(kind: "MaterializationSchedule"), now: services.clock.now())
        }
        page(router, "/console/features/skew") { _, _ throws(AerieError) in
            SkewPage.page(
                store.skew.latest, sampled: try await store.sampledReads(), now: services.clock.now())
        }
        page(router, "/console/features/views/:namespace/:view") { _, context throws(AerieError) in
            let namespace = try parameter("namespace", context)
            let name = try parameter("view", context)
            let catalog = try await store.catalog(namespace)
            let history = try await store.statistics(view: name, namespace: namespace)
            let item = Self.item(try catalog.view(name), catalog, store, history.first)
            return FeatureViewPage.page(
                item, history: history, runs: store.materializations.list(namespace, view: name),
                quarantine: try await store.quarantine(view: name, namespace: namespace, limit: 50),
                skew: store.skew.latest, now: services.clock.now())
        }
        registerFeatureActions(on: router, store)
    }

    private func registerFeatureActions(on router: Router<some RequestContext>, _ store: FeatureStore) {
        action(router, "/console/features/views/:namespace/:view/materialize") { _, context throws(AerieError) in
            let namespace = try parameter("namespace", context)
            let name = try parameter("view", context)
            let reserved = try await store.reserve(
                [name], from: nil, to: services.clock.now().milliseconds * 1000, namespace: namespace, trigger: "console")
            let logger = logger
            Task {
                do throws(AerieError) { _ = try await reserved.run() } catch {
                    logger.warning("materialization failed", metadata: ["view": "\(name)", "why": "\(error.message)"])
                }
            }
            return "/console/features/views/\(urlEncoded(namespace))/\(urlEncoded(name))"
        }
        action(router, "/console/features/runs/:id/cancel") { _, context throws(AerieError) in
            try store.materializations.cancel(try parameter("id", context))
            return "/console/features/runs"
        }
        action(router, "/console/features/skew/compare") { _, _ throws(AerieError) in
            _ = try await store.compareSampledReads()
            return "/console/features/skew"
        }
    }

    private func namespaces(_ store: FeatureStore) async throws(AerieError) -> [String] {
        var names: Set<String> = []
        for view in try await services.resources.list(kind: "FeatureView") { names.insert(view.metadata.namespace) }
        return names.sorted()
    }

    private func catalogue(
        _ store: FeatureStore
    ) async throws(AerieError) -> (items: [FeaturePages.Item], problems: [String]) {
        var items: [FeaturePages.Item] = []
        var problems: [String] = []
        for namespace in try await namespaces(store) {
            let catalog = try await store.catalog(namespace)
            problems += catalog.problems
            for view in catalog.views.values.sorted(by: { $0.definition.name < $1.definition.name }) {
                let name = view.definition.name
                let history = try await store.statistics(view: name, namespace: namespace, limit: 1)
                items.append(Self.item(view, catalog, store, history.first))
            }
        }
        return (items, problems)
    }

    private static func item(
        _ view: FeatureCatalog.View, _ catalog: FeatureCatalog, _ store: FeatureStore, _ statistics: JSONValue?
    ) -> FeaturePages.Item {
        var services: [String: [String]] = [:]
        for service in catalog.services.values.sorted(by: { $0.name < $1.name }) {
            for reference in service.references where reference.view == view.definition.name {
                services[reference.feature, default: []].append(service.name)
            }
        }
        return FeaturePages.Item(
            view: view, age: store.counters.age(of: view), statistics: statistics, services: services)
    }
}
