import AerieCore
import AerieHTTP
import AerieData
import AerieGRPC
import NIOCore
import NIOPosix
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A model whose answer shows what it was given: the sum of a row's numbers, a missing one counting 1000.
final class SumModel: TabularModel {
    let description: ModelDescription
    let featureCount: Int
    let outputCount = 1
    let rowType: DataType

    init(features: Int = 3, rowType: DataType = .fp32, nanosecondsPerRow: Double = 100) {
        featureCount = features
        self.rowType = rowType
        description = ModelDescription(
            platform: "xgboost_xgboost",
            inputs: [TensorSpec(name: "input", dataType: rowType, shape: [-1, features])],
            outputs: [TensorSpec(name: "predict", dataType: rowType, shape: [-1])],
            featureNames: (0..<features).map { ["amount", "hour", "größe", "d", "e"][$0] },
            nanosecondsPerRow: nanosecondsPerRow)
    }

    func predict(rows: UnsafeRawPointer, count: Int, into output: UnsafeMutableRawPointer) {
        func sum<Scalar: BinaryFloatingPoint>(_: Scalar.Type) {
            let rows = rows.assumingMemoryBound(to: Scalar.self)
            let output = output.assumingMemoryBound(to: Scalar.self)
            for row in 0..<count {
                // Weights 1, 2, 4… show a wrong order of columns.
                var total = Scalar(0)
                var weight = Scalar(1)
                for column in 0..<featureCount {
                    let value = rows[row * featureCount + column]
                    total += (value.isNaN ? 1000 : value) * weight
                    weight *= 2
                }
                output[row] = total
            }
        }
        if rowType == .fp64 { sum(Double.self) } else { sum(Float.self) }
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        guard inputs.count == 1, inputs[0].dataType == rowType, inputs[0].shape.last == featureCount else {
            throw .invalid("inputs", "the model takes rows of \(featureCount)")
        }
        let rows = inputs[0].shape.dropLast().reduce(1, *)
        let size = rowType == .fp64 ? 8 : 4
        var bytes = [UInt8](repeating: 0, count: rows * size)
        inputs[0].bytes.withUnsafeBytes { input in
            bytes.withUnsafeMutableBytes { predict(rows: input.baseAddress!, count: rows, into: $0.baseAddress!) }
        }
        return [Tensor(name: "predict", dataType: rowType, shape: [rows], bytes: bytes)]
    }
}

/// A model over tensors: doubles `x`, and counts its rows. Slow enough by its own word to run on the pool.
final class DoublingModel: Serving.InferenceModel {
    let description: ModelDescription

    init(nanosecondsPerRow: Double) {
        description = ModelDescription(
            platform: "onnxruntime_onnx", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 2])],
            outputs: [
                TensorSpec(name: "y", dataType: .fp32, shape: [-1, 2]),
                TensorSpec(name: "rows", dataType: .int64, shape: [1]),
            ], nanosecondsPerRow: nanosecondsPerRow)
    }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        guard inputs.count == 1, inputs[0].name == "x", inputs[0].dataType == .fp32 else {
            throw .invalid("inputs", "the model takes x of FP32")
        }
        let values = inputs[0].elements(as: Float.self)
        return [
            Tensor(name: "y", dataType: .fp32, shape: inputs[0].shape, elements: values.map { $0 * 2 }),
            Tensor(name: "rows", dataType: .int64, shape: [1], elements: [Int64(values.count / 2)]),
        ]
    }
}

func deployment(
    _ name: String, _ model: any Serving.InferenceModel, slot: Int = 0, labels: PredictionLabels? = nil
) -> ServedDeployment {
    ServedDeployment(name: name, namespace: "default", predictors: [
        ServedPredictor(
            name: "default", weight: 100, modelName: "classifier", modelVersion: "3", modelURI: "models:/\(name)/3",
            model: model, metricsSlot: slot, labels: labels),
    ])
}

/// A plane with both servers on free ports, shut down at the end of `body`.
func withPlane(
    _ deployments: [ServedDeployment], options change: (inout InferencePlane.Options) -> Void = { _ in },
    _ body: (_ http: Int, _ grpc: Int, _ plane: InferencePlane) async throws -> Void
) async throws {
    var options = InferencePlane.Options()
    options.loops = 1
    options.seed = 1
    change(&options)
    let plane = InferencePlane(options: options)
    plane.update(ServingTable(generation: 1, deployments: deployments))
    let http = try await plane.serveHTTP(host: "127.0.0.1", port: 0)
    let grpc = try await GRPCServer.start(
        group: plane.group, services: [.inference(plane), .seldon(plane), .health(of: plane)], host: "127.0.0.1", port: 0)
    do {
        try await body(http.port, grpc.port, plane)
    } catch {
        await http.shutdown(within: 0)
        await grpc.shutdown(within: 0)
        await plane.shutdown()
        throw error
    }
    await http.shutdown(within: 1)
    await grpc.shutdown(within: 1)
    await plane.shutdown()
}

/// Sends pieces over a new connection and gives back everything received until the server closes, or until the text
/// holds `answers` bodies' worth of `HTTP/1.1` heads and half a second passes without more.
/// - Parameters:
///   - answers: `.max` to read until the server closes.
///   - pause: microseconds between the first bytes received and the next; the client's window is small then.
func exchange(_ port: Int, _ pieces: [[UInt8]], answers: Int = 1, pause: UInt32 = 0) async throws -> [UInt8] {
    try await clientThreads.runIfActive { blockingExchange(port, pieces, answers: answers, pause: pause) }
}

/// Threads for clients that wait for their answers; more than any test has at once.
private let clientThreads: NIOThreadPool = {
    let threads = NIOThreadPool(numberOfThreads: 32)
    threads.start()
    return threads
}()

/// The answer to one request over a connection of its own.
func ask(_ port: Int, _ request: String) async throws -> Answer {
    let bytes = try await exchange(port, [Array(request.utf8)])
    return try #require(splitAnswers(bytes).first, "no whole answer to \(request.prefix(60))")
}

func exchange(_ port: Int, _ text: String, answers: Int = 1) async throws -> String {
    String(decoding: try await exchange(port, [Array(text.utf8)], answers: answers), as: UTF8.self)
}

private func blockingExchange(_ port: Int, _ pieces: [[UInt8]], answers: Int, pause: UInt32) -> [UInt8] {
    #if canImport(Glibc)
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    #else
        let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = in_port_t(port).bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    var patience = timeval(tv_sec: pause > 0 ? 40 : 5, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    if pause > 0 {
        var window: Int32 = 16 << 10
        setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &window, socklen_t(MemoryLayout<Int32>.size))
    }
    var noDelay: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &noDelay, socklen_t(MemoryLayout<Int32>.size))
    let connected = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard connected == 0 else { return [] }
    for piece in pieces {
        _ = piece.withUnsafeBytes { send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        if pieces.count > 1 { usleep(200) }
    }
    var received: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count > 0 else { return received }
        if pause > 0, received.isEmpty { usleep(pause) }
        received += chunk[..<count]
        if answers != .max, wholeAnswers(received) >= answers { return received }
    }
}

/// How many answers with head and whole body the bytes hold.
func wholeAnswers(_ bytes: [UInt8]) -> Int { splitAnswers(bytes).count }

struct Answer {
    var status: Int
    var head: String
    var body: [UInt8]
    var text: String { String(decoding: body, as: UTF8.self) }
}

func splitAnswers(_ bytes: [UInt8]) -> [Answer] {
    var answers: [Answer] = []
    var rest = bytes[...]
    while let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
        let head = String(decoding: rest[..<end.lowerBound], as: UTF8.self)
        let status = Int(head.split(separator: " ")[1]) ?? 0
        var length = 0
        for line in head.split(separator: "\r\n") where line.hasPrefix("Content-Length:") {
            length = Int(line.split(separator: " ").last ?? "") ?? 0
        }
        guard rest.endIndex - end.upperBound >= length else { break }
        let body = Array(rest[end.upperBound..<(end.upperBound + length)])
        rest = rest[(end.upperBound + length)...]
        if status != 100 { answers.append(Answer(status: status, head: head, body: body)) }
    }
    return answers
}

/// A request in HTTP/1.1 with a body.
func post(_ path: String, _ body: String, headers: String = "") -> String {
    "POST \(path) HTTP/1.1\r\nHost: a\r\n\(headers)Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
}

func inferBody(_ data: String = "[1,2,3]", shape: String = "[1,3]", type: String = "FP32", rest: String = "") -> String {
    "{\"inputs\":[{\"name\":\"input\",\"shape\":\(shape),\"datatype\":\"\(type)\",\"data\":\(data)}]\(rest)}"
}

/// A generator that gives the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ (state >> 29)
    }
}

/// A model over rows of two numbers that answers their sums, and remembers how many rows each call had. Every call
/// waits for `open`.
final class GatedModel: Serving.InferenceModel {
    let calls = Mutex<[Int]>([])
    private let isOpen = Atomic<Bool>(false)
    let description = ModelDescription(
        platform: "onnxruntime_onnx", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, 2])],
        outputs: [TensorSpec(name: "sum", dataType: .fp32, shape: [-1])], nanosecondsPerRow: 1e9)

    init(isOpen: Bool = false) { self.isOpen.store(isOpen, ordering: .relaxed) }

    func open() { isOpen.store(true, ordering: .releasing) }

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        let values = inputs[0].elements(as: Float.self)
        calls.withLock { $0.append(values.count / 2) }
        while !isOpen.load(ordering: .acquiring) { usleep(500) }
        if values.contains(-1) { throw .invalid("inputs", "-1 is refused") }
        let sums = stride(from: 0, to: values.count, by: 2).map { values[$0] + values[$0 + 1] }
        return [Tensor(name: "sum", dataType: .fp32, shape: [sums.count], elements: sums)]
    }
}

/// A deployment whose model is served by a policy.
func deployment(_ name: String, _ model: any Serving.InferenceModel, policy: ServingPolicy, slot: Int = 0)
    -> ServedDeployment
{
    ServedDeployment(name: name, namespace: "default", predictors: [
        ServedPredictor(
            name: "default", weight: 100, modelName: "classifier", modelVersion: "3", modelURI: "models:/\(name)/3",
            model: model, metricsSlot: slot, modelIdentity: "\(name)#3", policy: policy),
    ])
}
