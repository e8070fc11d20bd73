import AerieCore
import AerieData
import AerieTelemetry
import Datasets
import Foundation
import Logging
import Serving
import StoreDuckDB
import StorePredictions
import Testing

@testable import Predictions

/// A model of two columns; it is described, and never asked.
private final class TwoColumns: TabularModel {
    let featureCount = 2
    let outputCount = 1
    let rowType = DataType.fp64
    let description = ModelDescription(
        platform: "test", inputs: [TensorSpec(name: "input", dataType: .fp64, shape: [-1, 2])],
        outputs: [TensorSpec(name: "predict", dataType: .fp64, shape: [-1])], featureNames: ["amount", "hour"],
        nanosecondsPerRow: 1)
    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {}
    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] { [] }
}

/// As where the engine's library is not installed.
private struct NoEngine: SQLEngine {
    func execute(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError) {
        throw AerieError(.unavailable, "there is no engine")
    }
    func query(_ sql: String, _ parameters: [SQLValue]) async throws(AerieError) -> SQLTable {
        throw AerieError(.unavailable, "there is no engine")
    }
}

@Suite struct PredictionLogTests {
    private let folder = NSTemporaryDirectory() + "aerie-predictions-\(UUID().uuidString)"
    private let clock = ManualClock(Timestamp(milliseconds: 1_800_000_000_000))
    private let predictor = ServedPredictor(
        name: "main", weight: 100, modelName: "model", modelVersion: "3", modelURI: "models:/m/3", model: TwoColumns(),
        metricsSlot: 0)

    private func files(_ options: PredictionFiles.Options = .init()) -> PredictionFiles {
        PredictionFiles(
            folder: folder, options: options, clock: clock, engine: DuckDBEngine(options: .init(threads: 1)))
    }

    private func log(_ store: any PredictionStore, _ metrics: MetricsRegistry = MetricsRegistry()) -> PredictionLog {
        PredictionLog(store: store, metrics: metrics, clock: clock, logger: Logger(label: "test"))
    }

    private func block(_ id: String, _ rows: [[Double]], _ outputs: [Double], time: Int64) -> PredictionBlock {
        var block = PredictionBlock()
        rows.flatMap(\.self).withUnsafeBytes { input in
            outputs.withUnsafeBytes { output in
                Array(id.utf8).withUnsafeBytes {
                    block.append(
                        deployment: "fraud", namespace: "default", predictor: predictor, time: time, rows: rows.count,
                        input: input, output: output, id: $0)
                }
            }
        }
        return block
    }

    @Test("what a loop hands over is kept row by row, with names, version and the request's id")
    func kept() async throws {
        let log = log(files())
        #expect(log.accept(block("r1", [[1, 2], [3, .nan]], [0.25, 0.75], time: 1000)))
        await log.write()
        let rows = try await log.store.list(PredictionQuery())
        #expect(rows.count == 2)
        let second = try #require(rows.first { $0.record.row == 1 })
        #expect(second.record.puid == "r1" && second.record.version == "3" && second.record.deployment == "fraud")
        #expect(second.record.outputs == [0.75])
        #expect(second.record.features.map(\.name) == ["amount", "hour"])
        #expect(second.record.features[0].value == 3 && second.record.features[1].value.isNaN)
        #expect(second.label == nil)
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("labels find their rows, the latest counts, and those without a request wait for it")
    func labels() async throws {
        let log = log(files())
        try await log.label([("later", 0, 1), ("r1", 0, 0)])
        clock.advance(milliseconds: 1)
        try await log.label([("r1", 0, 1)])
        _ = log.accept(block("r1", [[1, 2], [3, 4]], [0.1, 0.2], time: 1))
        _ = log.accept(block("later", [[5, 6]], [0.3], time: 2))
        _ = log.accept(block("", [[7, 8]], [0.4], time: 3))
        await log.write()
        let labelled = try await log.store.list(PredictionQuery(isLabelled: true))
        #expect(labelled.map(\.record.puid) == ["later", "r1"])
        #expect(labelled.map(\.label) == [1, 1])
        #expect(try await log.store.list(PredictionQuery()).count == 4)
        #expect(try await log.store.list(PredictionQuery(since: 2, until: 3)).map(\.record.puid) == ["later"])
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("labels without an id or a number are refused, and none of them is kept")
    func wrongLabels() async throws {
        let log = log(files())
        await #expect(throws: AerieError.self) { try await log.label([("a", 0, 1), ("", 0, 1)]) }
        await #expect(throws: AerieError.self) { try await log.label([("a", 0, .nan)]) }
        await #expect(throws: AerieError.self) { try await log.label([("a", -1, 1)]) }
        _ = log.accept(block("a", [[1, 2]], [0.1], time: 1))
        await log.write()
        #expect(try await log.store.list(PredictionQuery(isLabelled: true)).isEmpty)
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("full segments are packed, a torn line is passed over, and a new process goes on where the old one ended")
    func packing() async throws {
        let store = files(.init(segment: 1))
        let first = log(store)
        _ = first.accept(block("r1", [[1, 2]], [0.1], time: 1))
        await first.write()
        // As a crash leaves it: a second file of lines that ends within one.
        let torn = folder + "/predictions/open-1-9.ndjson"
        try Data("{\"time\":5,\"puid\":\"torn\",\"row\":0,\"depl".utf8).write(to: URL(fileURLWithPath: torn))
        _ = try await store.tidy()
        let names = try FileManager.default.contentsOfDirectory(atPath: folder + "/predictions")
        #expect(names.allSatisfy { $0.hasSuffix(".parquet") } && names.count == 2)
        let second = log(files())
        _ = second.accept(block("r2", [[3, 4]], [0.2], time: 2))
        await second.write()
        #expect(try await second.store.list(PredictionQuery()).map(\.record.puid) == ["r2", "r1"])
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("lines whose packing was cut off before they were removed are not read twice")
    func packedTwice() async throws {
        let store = files(.init(segment: 1))
        let first = log(store)
        _ = first.accept(block("r1", [[1, 2]], [0.1], time: 1))
        await first.write()
        let place = folder + "/predictions/"
        let open = try #require(FileManager.default.contentsOfDirectory(atPath: place).first)
        let lines = try Data(contentsOf: URL(fileURLWithPath: place + open))
        _ = try await store.tidy()
        try lines.write(to: URL(fileURLWithPath: place + open))
        #expect(try await files().list(PredictionQuery()).count == 1)
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("what an earlier version packed is read with what is new")
    func earlierFiles() async throws {
        let log = log(files())
        _ = log.accept(block("r2", [[3, 4]], [0.2], time: 2))
        await log.write()
        _ = try await DuckDBEngine(options: .init(threads: 1)).execute(
            "COPY (SELECT 1::BIGINT AS time, 'r1' AS puid, 0::BIGINT AS \"row\", 'fraud' AS deployment, "
                + "'default' AS namespace, 'main' AS predictor, 'model' AS model, '2' AS version, "
                + "MAP {'amount': 1.0::DOUBLE} AS features, [0.1::DOUBLE] AS outputs) "
                + "TO '\(folder)/predictions/1-1.parquet' (FORMAT parquet)")
        let rows = try await log.store.list(PredictionQuery())
        #expect(rows.map(\.record.puid) == ["r2", "r1"])
        #expect(rows[0].record.routing == ["fraud": 0] && rows[0].record.versions == ["model": "3"])
        #expect(rows[1].record.routing.isEmpty && rows[1].record.features.map(\.value) == [1])
        #expect(try await log.store.list(PredictionQuery(version: "2")).map(\.record.puid) == ["r1"])
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("messages are kept by row: texts as they came, and an answer of another shape whole with the first row")
    func exchanges() async throws {
        let log = log(files())
        var block = PredictionBlock()
        func keep(_ puid: String, _ given: GraphMessage, _ answer: GraphMessage) {
            var answer = answer
            answer.meta = GraphMeta(puid: puid, routing: ["router": 1])
            block.append(
                deployment: "fraud", namespace: "default", predictor: predictor, index: 1, time: 1,
                exchange: PredictionExchange(given: given, answer: answer))
        }
        let numbers = Tensor(name: "", dataType: .fp64, shape: [2, 2], elements: [1.0, 2, 3, 4])
        let one = Tensor(name: "p", dataType: .fp64, shape: [1, 3], elements: [0.1, 0.2, 0.7])
        keep("rows", GraphMessage(.tensors([numbers]), names: ["hour", "amount"]), GraphMessage(.tensors([one])))
        keep("text", GraphMessage(.text("hello")), GraphMessage(.text("world")))
        let void = Tensor(name: "", dataType: .fp64, shape: [1_000_000_000, 0], bytes: [])
        keep("void", GraphMessage(.tensors([void])), GraphMessage(.tensors([one])))
        #expect(log.accept(block))
        await log.write()
        let rows = try await log.store.list(PredictionQuery(puid: "rows")).sorted { $0.record.row < $1.record.row }
        // In the model's own order.
        #expect(rows.map { $0.record.features.map(\.value) } == [[2, 1], [4, 3]])
        #expect(rows.map(\.record.outputs) == [[0.1, 0.2, 0.7], []])
        #expect(rows[0].record.routing == ["router": 1, "fraud": 1])
        let text = try await log.store.list(PredictionQuery(puid: "text"))
        #expect(text.map(\.record.request) == ["\"hello\""] && text.map(\.record.answer) == ["\"world\""])
        #expect(try await log.store.list(PredictionQuery(puid: "void")).count == 1)
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("beyond the limit the oldest go")
    func bounded() async throws {
        let store = files(.init(limit: 6000, segment: 1))
        let log = log(store)
        for number in 0..<6 {
            clock.advance(milliseconds: 10)
            _ = log.accept(block("r\(number)", [[Double(number), 2]], [0.1], time: Int64(number)))
            await log.write()
            _ = try await store.tidy()
        }
        let left = try await log.store.list(PredictionQuery()).map(\.record.puid)
        #expect(left.first == "r5")
        #expect(left.count < 6 && !left.contains("r0"))
        #expect(try await store.tidy() <= 6000)
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("the limit holds after every append, also where nothing can be packed")
    func boundedUnpacked() async throws {
        let store = PredictionFiles(
            folder: folder, options: .init(limit: 8000, segment: 1 << 20), clock: clock, engine: NoEngine())
        let log = log(store)
        for number in 0..<100 {
            clock.advance(milliseconds: 10)
            _ = log.accept(block("r\(number)", [[Double(number), 2]], [0.1], time: Int64(number)))
            await log.write()
            if number % 10 == 0 { try await log.label([("r\(number)", 0, 1)]) }
            #expect(try bytes() <= 8000)
        }
        await #expect(throws: AerieError.self) { try await store.tidy() }
        #expect(try bytes() <= 8000)
        let left = try await files().list(PredictionQuery()).map(\.record.puid)
        #expect(left.first == "r99" && left.count > 5 && left.count < 100)
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Of every file of the log.
    private func bytes() throws -> Int {
        let names = try FileManager.default.subpathsOfDirectory(atPath: folder).filter { $0.contains(".") }
        return try names.reduce(0) { total, name in
            let size = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(name)")[.size] as? Int
            return total + (size ?? 0)
        }
    }

    @Test("an export has every row, oldest first, with its label")
    func export() async throws {
        let log = log(files())
        _ = log.accept(block("r1", [[1, 2]], [0.1], time: 1_000_000))
        _ = log.accept(block("r2", [[3, 4]], [0.2], time: 2_000_000))
        await log.write()
        try await log.label([("r2", 0, 1)])
        let path = folder + "/out.parquet"
        #expect(try await log.store.export(PredictionQuery(), to: path) == 2)
        let table = try await DuckDBEngine(options: .init(threads: 1)).query(
            "SELECT puid, features['amount'] AS amount, outputs[1] AS score, label, epoch(time) AS time "
                + "FROM read_parquet('\(path)')")
        #expect(table["puid"]?.values.texts == ["r1", "r2"])
        #expect(table["amount"]?.doubles == [1, 3])
        #expect(table["score"]?.doubles == [0.1, 0.2])
        #expect(table["label"]?[0] == .null && table["label"]?[1] == .double(1))
        #expect(table["time"]?.doubles == [1, 2])
        try? FileManager.default.removeItem(atPath: folder)
    }

    @Test("a queue that is full loses what comes, and counts it")
    func full() async throws {
        let metrics = MetricsRegistry()
        let log = log(files(), metrics)
        var large = PredictionBlock()
        let megabyte = [UInt8](repeating: 0, count: 1 << 20)
        megabyte.withUnsafeBytes {
            large.append(
                deployment: "d", namespace: "default", predictor: predictor, time: 0, rows: 1, input: $0,
                output: UnsafeRawBufferPointer(start: nil, count: 0), id: UnsafeRawBufferPointer(start: nil, count: 0))
        }
        let taken = (0..<40).filter { _ in log.accept(large) }.count
        #expect(taken == 32)
        let lost = metrics.counter("aerie_predictions_lost_total", help: "")
        #expect(lost.value == 8)
    }
}

extension SQLColumn.Values {
    fileprivate var texts: [String] { if case .text(let texts) = self { texts } else { [] } }
}
