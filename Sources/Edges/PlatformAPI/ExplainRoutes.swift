import AerieCore
import AerieJSON
import Explain
public import Hummingbird
public import Serving

/// `POST /api/aerie/v1/deployments/{name}/explain`: why a deployment answers as it does, for people and scripts beside
/// the data plane.
public struct ExplainRoutes<Context: RequestContext>: Sendable {
    private let serving: ServingService

    public init(serving: ServingService) { self.serving = serving }

    public func addRoutes(to router: some RouterMethods<Context>) {
        let group = router.group("api/aerie/v1/deployments").add(middleware: JSONErrorMiddleware())
        group.post(":name/explain") { request, context in try await explain(request, context) }
    }

    /// `{"instances": [[…]]}` with `?predictor=&interactions=`; answers alibi's JSON.
    private func explain(_ request: Request, _ context: Context) async throws -> Response {
        let name = try context.part("name")
        let instances = try Self.instances(try await PlatformRoutes<Context>.body(request))
        let interactions = try PlatformRoutes<Context>.flag("interactions", request)
        let predictor = request.uri.queryParameters["predictor"].map { String($0) }
        let explanation = try await serving.explain(
            deployment: name, predictor: predictor, GraphMessage(.json(instances)), interactions: interactions)
        return Response(json: explanation.json)
    }

    private static func instances(_ body: String) throws(AerieError) -> JSONValue {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(body) } catch {
            throw error.asAerieError(in: "request body")
        }
        guard let instances = value["instances"] else {
            throw .invalid("instances", "is missing; send a list of rows, or of objects by the columns' names")
        }
        return instances
    }
}
