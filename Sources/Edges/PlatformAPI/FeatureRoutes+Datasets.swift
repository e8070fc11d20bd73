import AerieCore
import AerieJSON
import Features
import Foundation
import HTTPTypes
import Hummingbird

/// Saved datasets: listed, described, compared and fetched. They are made by `historical` with `save=NAME`.
extension FeatureRoutes {
    func addDatasets(to api: RouterGroup<Context>) {
        api.get("datasets") { request, _ in
            let found = try await datasets.list(namespace: Self.namespace(request))
            return Response(json: ["datasets": .array(found.map(\.json))])
        }
        api.get("datasets/:name") { request, context in
            let name = try context.part("name")
            let found = try await datasets.list(name, namespace: Self.namespace(request))
            if found.isEmpty { throw AerieError.notFound("there is no dataset '\(name)'") }
            return Response(json: ["datasets": .array(found.map(\.json))])
        }
        api.get("datasets/:name/:version") { request, context in
            Response(json: try await dataset(request, context, version: try context.part("version")).json)
        }
        api.get("datasets/:name/:version/compare") { request, context in
            let one = try await dataset(request, context, version: try context.part("version"))
            guard let with = request.uri.queryParameters["with"] else {
                throw AerieError.invalid("with", "names the version to compare with")
            }
            let other = try await dataset(request, context, version: String(with))
            return Response(json: one.comparison(with: other))
        }
        api.get("datasets/:name/:version/table") { request, context in
            let one = try await dataset(request, context, version: try context.part("version"))
            let path = "\(folder)/\(UUID().uuidString).parquet"
            do { try await datasets.fetch(one, to: path) } catch {
                try? FileManager.default.removeItem(atPath: path)
                throw error
            }
            return try Self.answer(.init(path: path, format: .parquet, rows: one.rows))
        }
    }

    private func dataset(_ request: Request, _ context: Context, version: String) async throws -> SavedDataset {
        guard let number = Int(version) else { throw AerieError.invalid("version", "'\(version)' is no number") }
        return try await datasets.dataset(
            try context.part("name"), number, namespace: Self.namespace(request))
    }
}
