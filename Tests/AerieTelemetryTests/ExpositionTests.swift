import AerieTelemetry
import Testing

@Suite("The text format")
struct ExpositionTests {
    private func registry(_ loops: [LoopMetrics], _ labels: [SlotLabels]) -> MetricsRegistry {
        let registry = MetricsRegistry()
        registry.describeSlots { labels.indices.contains($0) ? labels[$0] : nil }
        loops.forEach(registry.register)
        return registry
    }

    /// The lines of one family, without those of the process.
    private func lines(_ text: String, _ prefix: String) -> [String] {
        text.split(separator: "\n").map(String.init).filter { $0.hasPrefix(prefix) }
    }

    private let fraud = SlotLabels(
        deployment: "fraud", predictor: "production", predictorVersion: "v1", modelName: "classifier",
        modelVersion: "3",
        negativeLabel: "legitimate", positiveLabel: "fraud")

    @Test("a request is a histogram under Seldon's name with Seldon's labels, letter for letter")
    func exactHistogram() {
        let loop = LoopMetrics()
        loop.record(slot: 0, service: .predictions, code: 200, nanoseconds: 60_000)
        loop.record(slot: 0, service: .infer, code: 200, nanoseconds: 6_000_000)
        let text = registry([loop], [fraud]).exposition()
        let name = "seldon_api_executor_server_requests_seconds"
        let labels = "deployment_name=\"fraud\",predictor_name=\"production\",predictor_version=\"v1\","
            + "service=\"predictions\",method=\"post\",code=\"200\""
        var expected = [
            "# HELP \(name) Duration of inference requests, by outcome", "# TYPE \(name) histogram",
        ]
        for (index, bound) in LatencyBuckets.labels.enumerated() {
            let count = index == 0 ? 0 : index < LatencyBuckets.labels.firstIndex(of: "0.01")! ? 1 : 2
            expected.append("\(name)_bucket{\(labels),le=\"\(bound)\"} \(count)")
        }
        expected += ["\(name)_sum{\(labels)} 0.00606", "\(name)_count{\(labels)} 2"]
        #expect(text.hasPrefix(expected.joined(separator: "\n") + "\n"))
        let quantiles = lines(text, "\(name)_summary{").map { String($0.split(separator: " ")[0]) }
        #expect(quantiles == ["0.5", "0.75", "0.9", "0.98", "0.99", "1"].map {
            "\(name)_summary{\(labels),quantile=\"\($0)\"}"
        })
        #expect(text.contains("\(name)_summary{\(labels),quantile=\"1\"} 0.006\n"))
    }

    @Test("gRPC requests carry the method's full name and the code's name")
    func grpcLabels() {
        let loop = LoopMetrics()
        loop.record(slot: 0, service: .grpc, code: 3, nanoseconds: 1000)
        let text = registry([loop], [fraud]).exposition()
        #expect(text.contains(
            "service=\"/inference.GRPCInferenceService/ModelInfer\",method=\"unary\",code=\"InvalidArgument\"} 1"))
    }

    @Test("two loops and two versions of a model add up in one series")
    func merging() {
        let (a, b) = (LoopMetrics(), LoopMetrics())
        var next = fraud
        next.modelVersion = "4"
        for _ in 0..<3 { a.record(slot: 0, service: .infer, code: 200, nanoseconds: 1_000) }
        for _ in 0..<5 { b.record(slot: 1, service: .infer, code: 200, nanoseconds: 1_000) }
        b.recordModel(slot: 1, service: .infer, code: 200, nanoseconds: 500)
        let text = registry([a, b], [fraud, next]).exposition()
        #expect(lines(text, "seldon_api_executor_server_requests_seconds_count").count == 1)
        #expect(lines(text, "seldon_api_executor_server_requests_seconds_count")[0].hasSuffix(" 8"))
        #expect(lines(text, "seldon_api_executor_client_requests_seconds_count")[0].contains(
            "model_name=\"classifier\",model_image=\"\",model_version=\"4\""))
    }

    @Test("predictions are counted by their class")
    func predictions() {
        let loop = LoopMetrics()
        loop.recordPredictions(slot: 0, negative: 7, positive: 2)
        let text = registry([loop], [fraud]).exposition()
        let labels = "deployment_name=\"fraud\",model_name=\"classifier\",model_version=\"3\""
        #expect(lines(text, "model_predictions_total") == [
            "model_predictions_total{\(labels),prediction=\"fraud\"} 2",
            "model_predictions_total{\(labels),prediction=\"legitimate\"} 7",
        ])
    }

    @Test("a request for no deployment, and codes that have no cell of their own")
    func unusualOutcomes() {
        let loop = LoopMetrics()
        loop.record(slot: -1, service: .infer, code: 404, nanoseconds: 1000)
        loop.record(slot: 0, service: .infer, code: 418, nanoseconds: 1000)
        loop.record(slot: 0, service: .infer, code: 599, nanoseconds: 1000)
        loop.record(slot: 0, service: .grpc, code: 77, nanoseconds: 1000)
        loop.record(slot: 1 << 40, service: .grpc, code: 0, nanoseconds: 1000)
        let text = registry([loop], [fraud]).exposition()
        #expect(text.contains(
            "aerie_inference_unrouted_requests_total{service=\"predictions\",method=\"post\",code=\"404\"} 1"))
        for code in ["400", "500", "Unknown"] { #expect(text.contains("code=\"\(code)\"} 1")) }
    }

    @Test("label values are escaped and instruments are found again")
    func instruments() {
        let registry = MetricsRegistry()
        let labels = [("path", "a\"b\\c\nd")]
        registry.counter("aerie_things_total", help: "Things\nmore", labels: labels).increment(by: 2)
        registry.counter("aerie_things_total", help: "", labels: labels).increment()
        registry.gauge("aerie_level", help: "Level").set(0.25)
        registry.gauge("aerie_read", help: "Read") { 7 }
        registry.histogram("aerie_work_seconds", help: "Work").record(nanoseconds: 1_000_000_000)
        _ = registry.gauge("aerie_things_total", help: "another type")
        registry.describeBuild(version: "1.2")
        let text = registry.exposition()
        #expect(text.contains("# HELP aerie_things_total Things\\nmore\n# TYPE aerie_things_total counter\n"))
        #expect(text.contains("aerie_things_total{path=\"a\\\"b\\\\c\\nd\"} 3\n"))
        #expect(text.contains("\naerie_level 0.25\n"))
        #expect(text.contains("\naerie_read 7\n"))
        #expect(text.contains("aerie_work_seconds_bucket{le=\"1\"} 1\n"))
        #expect(text.contains("aerie_work_seconds_sum 1\naerie_work_seconds_count 1\n"))
        #expect(text.contains("aerie_build_info{version=\"1.2\"} 1\n"))
    }

    @Test("the process tells its memory, time and files")
    func process() throws {
        let text = MetricsRegistry().exposition()
        func value(_ name: String) throws -> Double {
            let line = try #require(lines(text, name + " ").first)
            return try #require(Double(line.split(separator: " ")[1]))
        }
        #expect(try value("process_resident_memory_bytes") > 1_000_000)
        #expect(try value("process_cpu_seconds_total") > 0)
        #expect(try value("process_open_fds") > 2)
        #expect(try value("process_start_time_seconds") > 1_700_000_000)
    }

    @Test("no value can end its label, whatever characters grow together")
    func hostileValues() {
        let loop = LoopMetrics()
        loop.record(slot: 0, service: .infer, code: 200, nanoseconds: 1000)
        let value = "a\r\nb\"\u{301}c\\"
        let labels = SlotLabels(deployment: value, predictor: "p", modelName: "m", modelVersion: "1")
        let text = registry([loop], [labels]).exposition()
        let name = "seldon_api_executor_server_requests_seconds_count"
        let line = text.utf8.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: name.utf8) }
        let expected = name + "{deployment_name=\"a\r\\nb\\\"\u{301}c\\\\\",predictor_name=\"p\",predictor_version=\"\","
            + "service=\"predictions\",method=\"post\",code=\"200\"} 1"
        #expect(line.map { Array($0) } == Array(expected.utf8))
    }
}
