import AerieCore
import AerieData
import AerieJSON
import ArgumentParser
import Capacity
import Foundation
import Load
import SendLoad

/// `aerie bench`: how fast a server answers, and how late under a given load.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench", abstract: "Load an inference server, and tell its throughput and latencies.",
        discussion: """
            Any server that speaks the Open Inference Protocol, or with --body any HTTP server. Without --rate it asks \
            again as soon as it is answered and so finds the most that the server does; with --rate requests fall due \
            at a constant rate, and a latency counts from then, so that slow answers are not hidden by the pause that \
            they cause. It ends by itself. A second target (--compare) is loaded in turns with the first.

            aerie bench fraud --connections 32
            aerie bench fraud --rate 20000 --duration 30 --data transactions.csv
            aerie bench fraud --target grpc://127.0.0.1:8001 --form grpc-stream --in-flight 64 --rows 256
            aerie bench --target http://127.0.0.1:9000/score --body request.json --compare http://127.0.0.1:9001/score
            """)

    @Argument(help: "The model; not needed with --body.") var model: String?
    @Option(help: "The server: http://host:port or grpc://host:port.") var target = "http://127.0.0.1:8000"
    @Option(help: "A second server, loaded in turns with the first.") var compare: String?
    @Option(help: "json, binary, grpc or grpc-stream; else json, for grpc:// grpc.") var form: String?
    @Option(help: "Rows in a request.") var rows = 1
    @Option(help: "Connections.") var connections = 32
    @Option(help: "Requests that wait on one connection: pipelined, or calls, or messages of the stream.")
    var inFlight = 1
    @Option(help: "Requests a second, at a constant rate; without it as many as are answered.") var rate: Double?
    @Option(help: "Seconds to measure.") var duration = 10.0
    @Option(help: "Seconds before that are not counted.") var warmup = 1.0
    @Option(help: "Rounds of a comparison.") var rounds = 5
    @Option(help: "Event loops that send.") var threads = 1
    @Option(help: "Rows to send, as CSV with a head; else generated from --seed.") var data: String?
    @Option(help: "A body to send as it is, with HTTP.") var body: String?
    @Option(name: .customLong("input"), help: "NAME:TYPE:SIZE instead of the server's metadata; may be repeated.")
    var inputs: [String] = []
    @Option(help: "Where a gRPC server's metadata is asked over HTTP; else http://HOST:8000.") var metadata: String?
    @Option(help: "Where generated rows begin.") var seed: UInt64 = 7
    @Option(help: "Write the result as JSON to this file; - for the standard output.") var json: String?
    @Flag(help: "Find the highest constant rate that keeps --p99; the points are for aerie capacity.")
    var findRate = false
    @Option(help: "The P99 that --find-rate is to keep.") var p99 = "5ms"
    @Flag(help: "Allow a target that is not on this machine.") var allowRemote = false

    func run() async throws {
        try await ClientOutput.reporting {
            let first = try LoadTarget(target, allowsRemote: allowRemote)
            if findRate { return try await findRate(first) }
            guard let compare else {
                let (plan, payload) = try await prepare(first, form)
                let result = try await load(plan, payload, label: first.text)
                if json != "-" { print(BenchTable.text([(first.text, result)]), terminator: "") }
                var object = result.json().object ?? [:]
                object["target"] = .string(first.text)
                object["settings"] = settings(plan)
                return try write(.object(object))
            }
            let second = try LoadTarget(compare, allowsRemote: allowRemote)
            try await compareTargets(first, second)
        }
    }

    private func compareTargets(_ first: LoadTarget, _ second: LoadTarget) async throws(AerieError) {
        guard (1...100).contains(rounds) else { throw .invalid("--rounds", "\(rounds) is not from 1 to 100") }
        let (one, onePayload) = try await prepare(first, form)
        let (other, otherPayload) = try await prepare(second, second.isGRPC == first.isGRPC ? form : nil)
        var comparison = LoadComparison()
        for round in 0..<rounds {
            let label = "round \(round + 1)/\(rounds)"
            if LoadComparison.firstLeads(round: round) {
                let a = try await load(one, onePayload, label: "\(label) \(first.text)")
                comparison.add(a, try await load(other, otherPayload, label: "\(label) \(second.text)"))
            } else {
                let b = try await load(other, otherPayload, label: "\(label) \(second.text)")
                comparison.add(try await load(one, onePayload, label: "\(label) \(first.text)"), b)
            }
        }
        if json != "-" { print(BenchTable.text(comparison, first.text, second.text), terminator: "") }
        var object = comparison.json().object ?? [:]
        object["targets"] = [.string(first.text), .string(second.text)]
        object["settings"] = settings(one)
        try write(.object(object))
    }

    /// Rates from a fifth of what the server answers at most upward, until two in a row do not keep the limit.
    private func findRate(_ target: LoadTarget) async throws(AerieError) {
        guard rate == nil, compare == nil else {
            throw .invalid("--find-rate", "goes with neither --rate nor --compare")
        }
        let limit = try CapacityCommand.seconds(p99)
        var (plan, payload) = try await prepare(target, form)
        let most = try await load(plan, payload, label: "at most")
        guard most.perSecond > 0 else { throw AerieError(.unavailable, "\(target.text) answers nothing well") }
        var measured = MeasuredCapacity(points: [], cores: ProcessInfo.processInfo.processorCount)
        var rows = [("closed", most)]
        var failures = 0
        for share in stride(from: 0.2, through: 1.01, by: 0.1) where failures < 2 {
            let rate = (most.perSecond * share).rounded(.up)
            plan.pace = .open(perSecond: rate)
            let result = try await load(plan, payload, label: "\(Int(rate))/s")
            rows.append(("\(Int(rate))/s", result))
            let success = Double(result.succeeded) / Double(max(1, result.succeeded + result.failed))
            measured.points.append(.init(rate: rate, p99: result.latency.quantile(0.99), success: success))
            failures = measured.points.last?.holds(limit) == true ? 0 : failures + 1
        }
        let best = measured.rate(within: limit)
        if json != "-" {
            print(BenchTable.text(rows.map { (target: $0.0, result: $0.1) }), terminator: "")
            print(best.map { "a P99 of \(p99) is kept up to \(Int($0)) requests/s" } ?? "no rate keeps a P99 of \(p99)")
        }
        try write([
            "points": measured.json(), "most": most.json(), "target": .string(target.text), "settings": settings(plan),
            "p99_limit_seconds": .double(limit), "rate": best.map { .double($0) } ?? .null,
        ])
    }

    // MARK: What is sent

    private func prepare(_ target: LoadTarget, _ form: String?) async throws(AerieError) -> (LoadPlan, LoadPayload) {
        let word = form ?? (target.isGRPC ? "grpc" : "json")
        guard let form = InferencePayload.Form(rawValue: word) else {
            let known = InferencePayload.Form.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("--form", "\"\(word)\" is none of \(known)")
        }
        let isCall = form == .grpc || form == .grpcStream
        guard isCall == target.isGRPC else {
            throw .invalid("--form", "\(word) does not go to \(target.text); write \(isCall ? "grpc" : "http")://")
        }
        let plan = LoadPlan(
            host: target.host, port: target.port,
            transport: form == .grpcStream ? .grpcStream : form == .grpc ? .grpc : .http, connections: connections,
            inFlight: inFlight, pace: rate.map { .open(perSecond: $0) } ?? .closed, warmup: warmup, duration: duration,
            threads: threads)
        try plan.validate()
        return (plan, try await payload(target, form))
    }

    private func payload(
        _ target: LoadTarget, _ form: InferencePayload.Form
    ) async throws(AerieError) -> LoadPayload {
        if let body {
            guard !target.isGRPC else { throw .invalid("--body", "bodies go over HTTP") }
            guard let bytes = FileManager.default.contents(atPath: body) else {
                throw .invalid("--body", "\(body) cannot be read")
            }
            let path = target.path ?? model.map { "/v2/models/\($0)/infer" } ?? "/"
            return LoadPayload(
                requests: [InferencePayload.http(target.authority, path, Array(bytes))], rows: rows)
        }
        guard let model else { throw .invalid("model", "name the model, or give a body with --body") }
        var specs: [TensorSpec] = []
        for input in inputs { specs.append(try ModelInputs.parse(input)) }
        if specs.isEmpty {
            let server = metadata ?? (target.isGRPC ? "http://\(target.host):8000" : "http://\(target.authority)")
            specs = try await ModelInputs.read(model, from: server)
        }
        let width = try InferencePayload.width(specs, rowsPerRequest: rows)
        let values =
            try data.map { file throws(AerieError) in
                try LoadRows.csv(file, width: width, names: width == specs.count ? specs.map(\.name) : [])
            } ?? InferencePayload.generated(width: width, rowsPerRequest: rows, seed: seed)
        return try InferencePayload(
            model: model, inputs: specs, rows: values, rowsPerRequest: rows, authority: target.authority,
            path: target.path
        ).payload(form)
    }

    // MARK: A run

    private func load(
        _ plan: LoadPlan, _ payload: LoadPayload, label: String
    ) async throws(AerieError) -> LoadResult {
        let view = BenchView(label: label)
        let result = try await NIOLoadDriver().run(plan, payload) { view.show($0) }
        view.clear()
        return result
    }

    private func settings(_ plan: LoadPlan) -> JSONValue {
        var settings: JSONObject = [
            "transport": .string(plan.transport.rawValue), "connections": .int(Int64(plan.connections)),
            "in_flight": .int(Int64(plan.inFlight)), "rows": .int(Int64(rows)), "warmup_seconds": .double(plan.warmup),
            "duration_seconds": .double(plan.duration), "threads": .int(Int64(plan.threads)),
            "cores": .int(Int64(ProcessInfo.processInfo.processorCount)),
        ]
        if case .open(let rate) = plan.pace { settings["rate"] = .double(rate) }
        return .object(settings)
    }

    private func write(_ value: JSONValue) throws(AerieError) {
        guard let json else { return }
        if json == "-" { return print(value.text()) }
        try ExportFile.write(value.text() + "\n", to: json)
    }
}
