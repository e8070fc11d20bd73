import AerieTelemetry
import Features
import Streaming

/// What streams have counted, as metrics. Read when somebody asks for them.
enum StreamMetrics {
    static func refresh(_ registry: MetricsRegistry, from streams: StreamSupervisor) async {
        guard let statuses = try? await streams.statuses() else { return }
        for status in statuses {
            let labels = [("namespace", status.namespace), ("view", status.view)]
            func count(_ name: String, _ help: String, _ value: Int, _ more: [(String, String)] = []) {
                let counter = registry.counter(name, help: help, labels: labels + more)
                counter.increment(by: value - counter.value)
            }
            for verdict in StreamVerdict.allCases {
                count(
                    "aerie_stream_events_total", "Events of streams, by what became of them",
                    status.totals.verdicts[verdict] ?? 0, [("verdict", verdict.rawValue)])
            }
            count("aerie_stream_dead_letters_total", "Messages that were set aside", status.totals.deadLetters)
            count("aerie_stream_commits_total", "Steps that were committed", status.totals.commits)
            count(
                "aerie_stream_publish_failures_total", "Steps that could not be published at once",
                status.totals.publishFailures)
            registry.gauge("aerie_stream_lag_messages", help: "Messages behind the log's end", labels: labels)
                .set(Double(status.lag))
            registry.gauge(
                "aerie_stream_latest_event_timestamp_seconds", help: "The greatest time of an event", labels: labels
            ).set(Double(status.totals.latestEvent) / 1e6)
            registry.gauge(
                "aerie_stream_latest_arrival_timestamp_seconds", help: "The greatest arrival of an event",
                labels: labels
            ).set(Double(status.totals.latestArrival) / 1e6)
        }
    }
}
