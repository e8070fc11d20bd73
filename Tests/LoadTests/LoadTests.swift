import AerieCore
import AerieData
import AerieJSON
import AerieWire
import Testing

@testable import Load

@Suite struct LatencyRecordTests {
    @Test("quantiles are kept to three digits")
    func quantiles() {
        var record = LatencyRecord()
        for value in 1...10_000 { record.record(nanoseconds: UInt64(value) * 1000) }
        #expect(record.count == 10_000)
        #expect(abs(record.quantile(0.5) - 0.005) < 0.005 * 0.002)
        #expect(abs(record.quantile(0.99) - 0.0099) < 0.0099 * 0.002)
        #expect(abs(record.maximum - 0.01) < 0.01 * 0.002)
        #expect(abs(record.mean - 0.0050005) < 0.00001)
    }

    @Test("nothing was measured, and nothing is claimed")
    func empty() {
        #expect(LatencyRecord().quantile(0.99).isNaN)
        #expect(LatencyRecord().mean.isNaN)
    }

    @Test("what took longer than a minute counts as a minute")
    func longest() {
        var record = LatencyRecord()
        record.record(nanoseconds: .max)
        #expect(abs(record.maximum - 60) < 0.1)
    }

    @Test("two records add up")
    func addition() {
        var (one, other) = (LatencyRecord(), LatencyRecord())
        one.record(nanoseconds: 1_000_000)
        other.record(nanoseconds: 9_000_000)
        one.add(other)
        #expect(one.count == 2)
        #expect(one.count(within: 0.005) == 1)
    }
}

@Suite struct LoadPlanTests {
    @Test("every setting that is out of its range is named")
    func ranges() {
        let plan = LoadPlan(
            host: "127.0.0.1", port: 0, transport: .http, connections: 0, inFlight: 0, pace: .open(perSecond: 0),
            warmup: -1, duration: 0, threads: 0)
        do throws(AerieError) {
            try plan.validate()
            Issue.record("the plan was taken")
        } catch {
            let fields = error.details.map(\.field)
            #expect(
                fields == ["target", "--connections", "--in-flight", "--threads", "--duration", "--warmup", "--rate"])
        }
    }

    @Test("a usual plan is taken")
    func usual() throws {
        try LoadPlan(host: "127.0.0.1", port: 8000, transport: .http).validate()
    }
}

@Suite struct LoadComparisonTests {
    private func result(perSecond: Int) -> LoadResult {
        var result = LoadResult(rowsPerRequest: 1)
        result.seconds = 1
        for _ in 0..<perSecond { result.latency.record(nanoseconds: 1_000_000) }
        result.statuses[200] = perSecond
        return result
    }

    @Test("the ratio is the geometric mean over the rounds, with Student's interval")
    func ratio() {
        var comparison = LoadComparison()
        for (a, b) in [(200, 100), (400, 100), (800, 100)] {
            comparison.add(result(perSecond: a), result(perSecond: b))
        }
        let ratio = comparison.throughput
        #expect(abs(ratio.mean - 4) < 1e-9)
        // log2 of the ratios: 1, 2, 3; s = 1, t(2) = 4.303: 2 ± 4.303 / √3 in powers of two.
        #expect(abs(ratio.low - 0.7147) < 0.001)
        #expect(abs(ratio.high - 22.387) < 0.01)
        #expect(abs(comparison.latency(0.5).mean - 1) < 1e-9)
    }

    @Test("one round has no interval")
    func oneRound() {
        var comparison = LoadComparison()
        comparison.add(result(perSecond: 3), result(perSecond: 2))
        #expect(comparison.throughput.low == 0)
        #expect(comparison.throughput.high == .infinity)
    }

    @Test("quantiles of Student's t beyond the table", arguments: [(20, 2.0860), (60, 2.0003), (1000, 1.9623)])
    func student(freedom: Int, expected: Double) {
        #expect(abs(LoadComparison.studentT95(freedom) - expected) < 0.001)
    }
}

@Suite struct InferencePayloadTests {
    private let inputs = [
        TensorSpec(name: "amount", dataType: .fp32, shape: [2]), TensorSpec(name: "hour", dataType: .int8, shape: []),
    ]

    private func payload(_ rows: [[Double]], rowsPerRequest: Int = 2) throws -> InferencePayload {
        try InferencePayload(
            model: "m", inputs: inputs, rows: rows, rowsPerRequest: rowsPerRequest, authority: "127.0.0.1:1")
    }

    @Test("a JSON request has its rows by input, and its length in its head")
    func json() throws {
        let payload = try payload([[1, 2, 3], [4, 5, 600]]).payload(.json)
        #expect(payload.rows == 2)
        let text = String(decoding: payload.requests[0], as: UTF8.self)
        let parts = text.split(separator: "\r\n\r\n")
        #expect(text.hasPrefix("POST /v2/models/m/infer HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"))
        #expect(text.contains("Content-Length: \(parts[1].utf8.count)\r\n"))
        let body = try JSONValue.parse(Array(parts[1].utf8))
        #expect(body["inputs"]?[0]?["shape"] == [2, 2])
        #expect(body["inputs"]?[0]?["data"] == [1.0, 2.0, 4.0, 5.0])
        #expect(body["inputs"]?[1]?["data"] == [3, 600])
    }

    @Test("a call's message has the tensors' bytes; numbers too large for their type are its largest")
    func protobuf() throws {
        let payload = try payload([[1, 2, 3], [4, 5, 600]]).payload(.grpc)
        #expect(payload.method == "/inference.GRPCInferenceService/ModelInfer")
        var raw: [[UInt8]] = []
        try payload.requests[0].withUnsafeBytes { bytes in
            var reader = ProtobufReader(bytes)
            while let field = try reader.next() {
                if field.number == 7 { raw.append(Array(try reader.delimited())) } else { try reader.skip(field) }
            }
        }
        #expect(raw.count == 2)
        #expect(
            raw[0] == [1, 2, 4, 5].flatMap { withUnsafeBytes(of: Float($0).bitPattern.littleEndian) { Array($0) } })
        #expect(raw[1] == [3, 127])
    }

    @Test("rows that do not fit the model are refused by their number")
    func width() {
        #expect(throws: AerieError.self) { try payload([[1, 2, 3], [4, 5]]) }
        #expect(throws: AerieError.self) { try payload([]) }
    }

    @Test("generated rows are the same for the same seed")
    func seeded() {
        let rows = InferencePayload.generated(width: 3, rowsPerRequest: 2, seed: 5)
        #expect(rows == InferencePayload.generated(width: 3, rowsPerRequest: 2, seed: 5))
        #expect(rows != InferencePayload.generated(width: 3, rowsPerRequest: 2, seed: 6))
        #expect(rows.count == 128 && rows.allSatisfy { $0.count == 3 && $0.allSatisfy { (0...100).contains($0) } })
    }

    @Test("a request has so many numbers and no more, whatever the model's shapes say")
    func limits() throws {
        #expect(try InferencePayload.width(inputs, rowsPerRequest: 100_000) == 3)
        let vast = inputs + [TensorSpec(name: "vast", dataType: .fp32, shape: [1 << 40, -1, 1 << 40])]
        for (inputs, rows) in [(inputs, 0), (inputs, 100_001), (inputs, .max), (vast, 1)] {
            #expect(throws: AerieError.self) { try InferencePayload.width(inputs, rowsPerRequest: rows) }
        }
    }
}
