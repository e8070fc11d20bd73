public import AerieCore
public import HTTPTypes
public import Hummingbird
import Logging
import NIOCore

/// Writes every error that a handler throws, and every unknown route, as the platform's JSON error.
///
/// For routes of protocols with their own error bodies it does nothing, as their handlers let no error through.
public struct JSONErrorMiddleware<Context: RequestContext>: RouterMiddleware {
    public init() {}

    public func handle(
        _ request: Request, context: Context, next: (Request, Context) async throws -> Response
    ) async throws -> Response {
        do {
            return try await next(request, context)
        } catch let error as AerieError {
            if error.code == .internal || error.code == .dataLoss {
                context.logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            }
            return Response(error: error)
        } catch is NIOTooManyBytesError {
            let limit = PlatformRoutes<Context>.maximumBody / (1 << 20)
            return Response(
                error: AerieError(.resourceExhausted, "the request body is longer than \(limit) MB"),
                status: .contentTooLarge)
        } catch let error as any HTTPResponseError {
            return Self.response(error, request)
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            context.logger.error("request failed", metadata: ["path": "\(request.uri.path)", "error": "\(error)"])
            return Response(error: AerieError(.internal, "something went wrong inside Aerie; its log says what"))
        }
    }

    private static func response(_ error: any HTTPResponseError, _ request: Request) -> Response {
        let message = (error as? HTTPError)?.body ?? error.status.reasonPhrase
        switch error.status {
        case .notFound:
            return Response(
                error: AerieError(
                    .notFound, "there is no \(request.method) \(request.uri.path)", reason: "route.unknown"))
        case .unauthorized: return Response(error: AerieError(.unauthenticated, message))
        case .forbidden: return Response(error: AerieError(.permissionDenied, message))
        case _ where error.status.kind == .clientError:
            return Response(error: AerieError(.invalidArgument, message), status: error.status)
        default: return Response(error: AerieError(.internal, message), status: error.status)
        }
    }
}
