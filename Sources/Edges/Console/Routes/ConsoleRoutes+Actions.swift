import AerieCore
import AerieJSON
import Foundation
import AerieResources
import ErrorMapping
import Hummingbird
import Pipelines
import Registry

/// What the console's buttons do. Each answers with a redirect, so that reloading a page does nothing twice.
extension ConsoleRoutes {
    func registerActions(on router: Router<some RequestContext>) {
        action(router, "/console/models/:name/:version/stage") { form, context throws(AerieError) in
            let name = try parameter("name", context)
            guard let version = Int(try parameter("version", context)) else { throw .invalid("version", "must be a number") }
            let stage = try ModelStage(parsing: form["stage"] ?? "")
            _ = try await services.registry.transition(
                ModelVersionKey(name, version), to: stage, archivingExisting: stage == .production, actor: "console")
            return ModelPages.path(name)
        }
        action(router, "/console/pipelines/:name/run") { form, context throws(AerieError) in
            let run = try await services.runner.start(
                namespace: form["namespace"] ?? "default", pipeline: try parameter("name", context), parameters: [:], by: "console")
            return PipelinePages.runPath(run.id)
        }
        action(router, "/console/pipelines/runs/:id/cancel") { _, context throws(AerieError) in
            PipelinePages.runPath(try await services.runner.cancel(try parameter("id", context)).id)
        }
        action(router, "/console/pipelines/runs/:id/retry") { _, context throws(AerieError) in
            PipelinePages.runPath(try await services.runner.retry(try parameter("id", context)).id)
        }
        for (word, isApproved) in [("approve", true), ("reject", false)] {
            action(router, "/console/pipelines/runs/:id/steps/:step/\(word)") { _, context throws(AerieError) in
                let id = try parameter("id", context)
                _ = try await services.runner.decide(
                    run: id, step: try parameter("step", context), isApproved: isApproved, by: "console", comment: "")
                return PipelinePages.runPath(id)
            }
        }
    }

    /// A button's address: checks that the form comes from this console, then does the work and leads on.
    private func action<Context: RequestContext>(
        _ router: Router<Context>, _ path: String,
        _ work: @escaping @Sendable ([String: String], Context) async throws(AerieError) -> String
    ) {
        router.post(RouterPath(path)) { request, context -> Response in
            do throws(AerieError) {
                try checkOrigin(request)
                return Response.redirect(to: try await work(try await form(request), context), type: .normal)
            } catch { return failure(error, request: request) }
        }
    }

    /// A browser names the page that sends a form; one of another site is refused. Programs send no `Origin`.
    private func checkOrigin(_ request: Request) throws(AerieError) {
        guard let origin = request.headers[.origin] else { return }
        let host = origin.split(separator: "/", maxSplits: 2).last.map(String.init) ?? ""
        guard host == request.head.authority else {
            throw AerieError(.permissionDenied, "this form was sent from another site: \(origin)")
        }
    }

    private func form(_ request: Request) async throws(AerieError) -> [String: String] {
        let text: String
        do { text = String(buffer: try await request.body.collect(upTo: 64 << 10)) } catch {
            throw AerieError(.invalidArgument, "the form is larger than 64 KB", cause: error)
        }
        return FormFields.parse(text)
    }
}

/// The fields of a form as browsers send it.
enum FormFields {
    /// Of a name sent twice the last value counts; what has no value is left out.
    static func parse(_ text: String) -> [String: String] {
        var fields: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
                let spaced = part.replacing("+", with: " ")
                return spaced.removingPercentEncoding ?? String(spaced)
            }
            if parts.count == 2, !parts[0].isEmpty { fields[parts[0]] = parts[1] }
        }
        return fields
    }
}
