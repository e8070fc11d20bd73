import AerieJSON
import AerieTelemetry
import Serving

/// How often and how long, as Triton's statistics write it.
private typealias Duration = (count: Int, nanoseconds: UInt64)

/// The statistics of one model version, as both protocols tell them.
struct StatisticsForm {
    let name: String
    let version: String
    private let statistics: ModelStatistics

    /// A line for each predictor and version of a deployment.
    /// - Parameter version: only that one; empty for all.
    static func of(
        _ deployments: [DeploymentPlan], version: String = "", _ bySlot: [Int: ModelStatistics]
    ) -> [StatisticsForm] {
        deployments.flatMap { deployment in
            deployment.served.predictors.filter { version.isEmpty || $0.modelVersion == version }.map { predictor in
                StatisticsForm(
                    name: deployment.served.name, version: predictor.modelVersion,
                    statistics: bySlot[predictor.metricsSlot] ?? ModelStatistics())
            }
        }
    }

    /// In the order of the fields of `InferStatistics`.
    private var durations: [(name: String, value: Duration)] {
        let executions = statistics.executions
        func part(_ part: ExecutionStatistics.Part) -> Duration { (part.count, part.nanoseconds) }
        let compute = statistics.compute
        return [
            ("success", (statistics.totals.success.count, UInt64(statistics.totals.success.nanoseconds))),
            ("fail", (statistics.totals.failure.count, UInt64(statistics.totals.failure.nanoseconds))),
            ("queue", (compute.count, executions.queue.nanoseconds)),
            // Inputs are read in place and outputs written where they are sent from: no step of their own.
            ("compute_input", (compute.count, 0)), ("compute_infer", compute), ("compute_output", (compute.count, 0)),
            ("cache_hit", part(executions.cacheHits)), ("cache_miss", part(executions.cacheMisses)),
        ]
    }

    private var batches: [(rows: Int, value: Duration)] {
        statistics.executions.batches.sorted { $0.key < $1.key }
            .map { ($0.key, ($0.value.count, $0.value.nanoseconds)) }
    }

    private var lastInference: Int { statistics.totals.lastSecond * 1000 }

    var json: JSONValue {
        func duration(_ value: Duration) -> JSONValue {
            ["count": .int(Int64(value.count)), "ns": .int(Int64(clamping: value.nanoseconds))]
        }
        let none: Duration = (0, 0)
        return [
            "name": .string(name), "version": .string(version), "last_inference": .int(Int64(lastInference)),
            "inference_count": .int(Int64(statistics.inferenceCount)),
            "execution_count": .int(Int64(statistics.executionCount)),
            "inference_stats": .object(JSONObject(durations.map { ($0.name, duration($0.value)) })),
            "response_stats": [:],
            "batch_stats": .array(
                batches.map { batch in
                    [
                        "batch_size": .int(Int64(batch.rows)), "compute_input": duration((batch.value.count, none.1)),
                        "compute_infer": duration(batch.value), "compute_output": duration((batch.value.count, none.1)),
                    ]
                }),
            "memory_usage": [],
        ]
    }

    /// `ModelStatistics`
    func write(to writer: inout ProtobufWriter) {
        func duration(_ number: Int, _ value: Duration, _ writer: inout ProtobufWriter) {
            writer.message(number) {
                $0.number(1, UInt64(value.count))
                $0.number(2, value.nanoseconds)
            }
        }
        writer.text(1, name.utf8)
        writer.text(2, version.utf8)
        writer.number(3, UInt64(lastInference))
        writer.number(4, UInt64(statistics.inferenceCount))
        writer.number(5, UInt64(statistics.executionCount))
        writer.message(6) { writer in
            for (index, part) in durations.enumerated() { duration(index + 1, part.value, &writer) }
        }
        for batch in batches {
            writer.message(7) { writer in
                writer.number(1, UInt64(batch.rows))
                duration(2, (batch.value.count, 0), &writer)
                duration(3, batch.value, &writer)
                duration(4, (batch.value.count, 0), &writer)
            }
        }
    }
}
