public import AerieCore
import AerieJSON
public import AerieResources
public import Features
import Foundation
import HTTPTypes
public import Hummingbird
import NIOCore

/// Features beyond what Feast's protocol says: the catalogue, materialization with its progress, and point-in-time
/// tables, under `/api/aerie/v1/features`.
public struct FeatureRoutes<Context: RequestContext>: Sendable {
    let store: FeatureStore
    let streams: StreamSupervisor
    let datasets: SavedDatasets
    let resources: ResourceService
    /// Where tables stand while they are made; emptied by `init`.
    let folder: String
    let tables = RetrievedTables()
    private let clock: any WallClock

    public init(
        store: FeatureStore, streams: StreamSupervisor, datasets: SavedDatasets, resources: ResourceService,
        folder: String, clock: any WallClock = SystemClock()
    ) {
        self.store = store
        self.streams = streams
        self.datasets = datasets
        self.resources = resources
        self.folder = folder
        self.clock = clock
        // What an earlier process left half done is of no use to anybody.
        try? FileManager.default.removeItem(atPath: folder)
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let api = router.group("api/aerie/v1/features").add(middleware: JSONErrorMiddleware())
        api.get { request, _ in try await list(request) }
        api.post("materialize") { request, _ in try await materialize(request) }
        addStreams(to: api)
        addHistorical(to: api)
        addOperations(to: api)
        addDatasets(to: api)
        addDefinitions(to: api)
    }

    static func namespace(_ request: Request) -> String {
        request.uri.queryParameters["namespace"].map { String($0) } ?? "default"
    }

    // MARK: Catalogue

    /// Every feature that fits `search`, `owner` and each `tag`; see `FeatureSearch`.
    private func list(_ request: Request) async throws -> Response {
        let query = request.uri.queryParameters
        let search = FeatureSearch(
            words: query["search"].map { String($0) } ?? "", owner: query["owner"].map { String($0) },
            tags: query[values: "tag"].map { String($0) })
        let catalog = try await store.catalog(Self.namespace(request))
        var rows: [JSONValue] = []
        for view in catalog.views.values.sorted(by: { $0.definition.name < $1.definition.name }) {
            for feature in view.definition.features {
                let services = catalog.services.values.filter { service in
                    service.references.contains { $0.view == view.definition.name && $0.feature == feature.name }
                }
                guard search.fits(feature, of: view) else { continue }
                rows.append([
                    "view": .string(view.definition.name), "feature": .string(feature.name),
                    "type": .string(feature.type.rawValue), "description": .string(feature.description),
                    "entities": .array(view.joinKeys.map { .string($0.name) }), "owner": .string(view.owner),
                    "tags": .object(search.tags(feature, view)),
                    "online": .bool(view.isOnline),
                    "services": .array(services.map(\.name).sorted().map { .string($0) }),
                    "materialized_until": view.materializedUntil.map { .string(FeatureTime.text($0)) } ?? .null,
                ])
            }
        }
        return Response(json: [
            "features": .array(rows), "problems": .array(catalog.problems.map { .string($0) }),
        ])
    }

    // MARK: Materialization

    /// The body is `{"feature_views": […], "version": …, "start": …, "end": …}`, all optional: without a start it is
    /// incremental, and without an end it goes on until now; a version is of the one view that is named. The
    /// answer is lines of JSON, the last of them `report` or `error`; a client that hangs up ends the work.
    private func materialize(_ request: Request) async throws -> Response {
        let text = try await PlatformRoutes<Context>.body(request)
        var object = JSONObject()
        if text.contains(where: { !$0.isWhitespace }) {
            do throws(JSONError) { object = try JSONValue.parse(text).object ?? [:] } catch {
                throw error.asAerieError(in: "the request body")
            }
        }
        let known = ["feature_views", "version", "start", "end"]
        for key in object.keys where !known.contains(key) {
            throw AerieError.invalid(key, "unknown member; there are \(known.joined(separator: ", "))")
        }
        let views = object["feature_views"]?.array?.compactMap(\.string)
        let start = try Self.time(object, "start")
        let end = try Self.time(object, "end") ?? clock.now().milliseconds * 1000
        let namespace = Self.namespace(request)
        // What is wrong with the names is said before anything is streamed.
        let version = try object["version"]?.string.flatMap(FeatureName.version)
        _ = try await store.materializable(views, version: version, namespace)
        let passedOver = views == nil ? try await store.unconnected(namespace) : []
        return .lines { tell throws(AerieError) in
            let results = try await store.materialize(
                views, version: version, from: start, to: end, namespace: namespace
            ) {
                tell([
                    "type": "progress", "view": .string($0.view), "rows": .int($0.rows), "total": .int($0.total),
                ])
            }
            return [
                "type": "report", "views": .array(results.map(Self.json)),
                "unconnected": .array(passedOver.map { .string($0.definition.name) }),
                "until": .string(FeatureTime.text(end)),
            ]
        }
    }

    private static func json(_ result: MaterializationProgress) -> JSONValue {
        [
            "view": .string(result.view), "rows": .int(result.rows),
            "notes": .array(result.notes.map(JSONValue.string)),
        ]
    }

    private static func time(_ object: JSONObject, _ name: String) throws(AerieError) -> Int64? {
        guard let value = object[name], !value.isNull else { return nil }
        guard let micros = value.string.flatMap(FeatureTime.parse) else {
            throw .invalid(name, "\(value.text()) is no moment; write 2026-01-31T12:00:00Z")
        }
        return micros
    }
}
