import AerieCore
import AerieTelemetry
import Console
import Logging
import SendOTLP
import Serving
import RequestTracing

/// Makes the tracer of this process.
enum TracingParts {
    /// `nil` where no collector is named: then nothing is traced, and requests pay nothing for it.
    static func tracer(
        _ settings: TracingSettings, metrics: MetricsRegistry, logger: Logger
    ) throws(AerieError) -> Tracer? {
        guard let text = settings.endpoint else { return nil }
        let endpoint = try settings.collector(at: text)
        let resource: [Span.Attribute] = [
            .init("service.name", .text(settings.serviceName)), .init("service.version", .text(Aerie.version)),
            .init("telemetry.sdk.language", .text("swift")), .init("telemetry.sdk.name", .text("aerie")),
        ]
        var options = Tracer.Options()
        options.policy = settings.policy
        return Tracer(
            exporter: try endpoint.exporter(resource: resource, version: Aerie.version), options: options,
            metrics: metrics, logger: logger)
    }
}

extension Platform {
    /// Where the time of a deployment's requests goes, for the console.
    @Sendable
    func latency(of deployment: String) -> LatencyReport {
        let namespace = serving.state(named: deployment)?.namespace ?? "default"
        return LatencyReport(
            stages: metrics.stages(namespace: namespace, deployment: deployment),
            traces: tracer?.recent(deployment: deployment) ?? [])
    }
}
