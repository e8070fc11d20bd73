import AerieCore
import AerieJSON
import AerieResources
import ErrorMapping
import Experiments
import Foundation
import Hummingbird
import Pipelines
import Registry

/// What the console's buttons do. Each answers with a redirect, so that reloading a page does nothing twice.
extension ConsoleRoutes {
    func registerActions(on router: Router<some RequestContext>) {
        registerModelActions(on: router)
        action(router, "/console/experiments/:id/runs") { form, context throws(AerieError) in
            let id = try parameter("id", context)
            try await change(runs: (form["run"] ?? "").split(separator: ",").map { RunID(String($0)) }, form)
            return "/console/experiments/\(urlEncoded(id))"
        }
        action(router, "/console/pipelines/:name/run") { form, context throws(AerieError) in
            let run = try await services.runner.start(
                namespace: form["namespace"] ?? "default", pipeline: try parameter("name", context), parameters: [:],
                by: "console")
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

    /// What was written in a form of several lines, each ended as everywhere else.
    private func lines(_ text: String?) -> String { (text ?? "").replacing("\r\n", with: "\n") }

    private func registerModelActions(on router: Router<some RequestContext>) {
        action(router, "/console/models/:name/description") { form, context throws(AerieError) in
            let name = try parameter("name", context)
            _ = try await services.registry.describeModel(name, lines(form["description"]))
            return ModelPages.path(name)
        }
        action(router, "/console/models/:name/:version/description") { form, context throws(AerieError) in
            let key = try versionKey(context)
            _ = try await services.registry.describeVersion(key, lines(form["description"]))
            return VersionPage.path(key)
        }
        action(router, "/console/models/:name/:version/stage") { form, context throws(AerieError) in
            let key = try versionKey(context)
            let stage = try ModelStage(parsing: form["stage"] ?? "")
            let isPage = form["back"] == "version"
            let isActive = stage == .staging || stage == .production
            // The one-click promotion replaces what is in production; the page's form says it for itself.
            let archives = isPage ? isActive && form["archive"] == "yes" : stage == .production
            _ = try await services.registry.transition(key, to: stage, archivingExisting: archives, actor: "console")
            return isPage ? VersionPage.path(key) : ModelPages.path(key.name)
        }
        action(router, "/console/models/:name/:version/alias") { form, context throws(AerieError) in
            let key = try versionKey(context)
            let alias = form["alias"] ?? ""
            switch form["do"] {
            case "set": try await services.registry.setAlias(alias, of: key.name, to: key.version)
            case "delete": try await services.registry.deleteAlias(alias, of: key.name)
            default: throw .invalid("do", "is set or delete")
            }
            return VersionPage.path(key)
        }
        action(router, "/console/models/:name/:version/tag") { form, context throws(AerieError) in
            let key = try versionKey(context)
            try await services.registry.setVersionTags(
                key, [Tag(key: form["key"] ?? "", value: form["value"] ?? "")])
            return VersionPage.path(key)
        }
    }

    /// Deletes, restores or tags the chosen runs, one after the other: what failed leaves those before it changed.
    private func change(runs: [RunID], _ form: [String: String]) async throws(AerieError) {
        guard (1...250).contains(runs.count) else { throw .invalid("run", "choose 1 to 250 runs") }
        switch form["do"] {
        case "delete": for id in runs { try await services.experiments.setRunStage(id, .deleted) }
        case "restore": for id in runs { try await services.experiments.setRunStage(id, .active) }
        case "tag":
            let parts = (form["tag"] ?? "").split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw .invalid("tag", "is written as name=value") }
            let tag = Tag(key: parts[0], value: parts[1])
            for id in runs { try await services.experiments.log(RunBatch(runID: id, tags: [tag])) }
        default: throw .invalid("do", "is delete, restore or tag")
        }
    }

    /// A button's address: checks that the form comes from this console, then does the work and leads on.
    func action<Context: RequestContext>(
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
        return FormFields.parse(text, lists: ["run"])
    }
}

/// The fields of a form as browsers send it.
enum FormFields {
    /// Every value of a name in an address's query, which a form writes with `+` for spaces.
    static func values(_ query: String?, of name: String) -> [String] {
        (query ?? "").split(separator: "&").compactMap { pair in parse(String(pair))[name] }
    }

    /// Of a name sent twice the last value counts, or all of them with commas between for those in `lists`; what has
    /// no value is left out.
    static func parse(_ text: String, lists: Set<String> = []) -> [String: String] {
        var fields: [String: String] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map { part in
                let spaced = part.replacing("+", with: " ")
                return spaced.removingPercentEncoding ?? String(spaced)
            }
            guard parts.count == 2, !parts[0].isEmpty else { continue }
            if lists.contains(parts[0]), let before = fields[parts[0]] {
                fields[parts[0]] = before + "," + parts[1]
            } else {
                fields[parts[0]] = parts[1]
            }
        }
        return fields
    }
}
