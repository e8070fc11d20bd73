import AerieCore
import Experiments
import Hummingbird

extension ConsoleRoutes {
    func registerTraces(on router: Router<some RequestContext>) {
        page(router, "/console/experiments/:id/traces") { request, context throws(AerieError) in
            let experiment = try await services.experiments.experiment(ExperimentID(try parameter("id", context)))
            let parameters = request.uri.queryParameters
            let filter = FormFields.values(request.uri.query, of: "q").last ?? ""
            var found = Page<Trace>([])
            var problem: String?
            do throws(AerieError) {
                found = try await services.traces.search(
                    in: [experiment.id], filter: filter, limit: 100, pageToken: parameters.get("page"))
            } catch {
                guard error.code == .invalidArgument else { throw error }
                problem = error.message
            }
            return TracePages.list(
                of: experiment, found.elements, filter: filter, next: found.next?.token, problem: problem,
                now: services.clock.now())
        }
        page(router, "/console/traces/:id") { _, context throws(AerieError) in
            let trace = try await services.traces.trace(TraceID(try parameter("id", context)))
            return TracePages.trace(
                trace, experiment: try? await services.experiments.experiment(trace.experimentID),
                spans: try await spans(of: trace))
        }
    }

    private static let traceLimit: Int64 = 8 << 20

    /// The spans that are kept with the trace, or else what the trace's file holds; `nil` without one, or for one above
    /// 8 MiB.
    private func spans(of trace: Trace) async throws(AerieError) -> [TraceSpan]? {
        if let kept = try await services.traces.spans(of: [trace.id])[trace.id] {
            return kept.prefix(TraceSpan.limit).map(TraceSpan.init)
        }
        guard let location = trace.tags.first(where: { $0.key == "mlflow.artifactLocation" })?.value,
            let path = try? ArtifactPath(location: location + "/traces.json"),
            let size = try await services.artifacts.entry(path)?.size, size <= Self.traceLimit
        else { return nil }
        let reader = try await services.artifacts.open(path, range: nil)
        var bytes: [UInt8] = []
        while let piece = try await reader.next() { bytes += piece }
        return TraceSpan.parse(bytes)
    }
}
