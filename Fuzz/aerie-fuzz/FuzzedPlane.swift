import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import CompressZlib
import Fuzzing
import InferTrees
import NIOCore
import NIOEmbedded
import Serving

@testable import AerieGRPC
@testable import InferenceAPI

/// The inference plane's own connections without a network: bytes in, bytes out, all on the calling thread.
///
/// Serves `fraud` (XGBoost, rows of FP32), `churn` (LightGBM, rows of FP64) and `echo` (whole tensors, given back).
/// `@unchecked Sendable`: made and used on one thread.
final class FuzzedPlane: @unchecked Sendable {
    let loop = EmbeddedEventLoop()
    let state: LoopState

    init() throws {
        let metrics = LoopMetrics()
        let statistics = PlaneStatistics(loops: [metrics])
        var options = InferencePlane.Options()
        options.seed = 1
        options.coder = try? ZlibCoder()
        // Whatever a model says that it takes, it runs here: the thread of the cases is the only one.
        options.inlineNanoseconds = .infinity
        options.http.limits.bodyBytes = 1 << 20
        let pool = InferencePool(threads: 1, capacity: 16)
        state = LoopState(
            eventLoop: loop, metrics: metrics, pool: pool, explanations: pool, options: options, readiness: Readiness(),
            statistics: statistics)
        let trees = ProjectFiles.trees
        let deployments = [
            Self.deployment("fraud", try XGBoostFormat().load(file: "\(trees)/xgb-binary.json"), slot: 0),
            Self.deployment("churn", try LightGBMFormat().load(file: "\(trees)/lgb-multiclass.txt"), slot: 1),
            Self.deployment("echo", EchoModel(), slot: 2),
        ]
        state.plan = ServingPlan(
            ServingTable(generation: 1, deployments: deployments), ledger: statistics.ledger)
    }

    private static func deployment(_ name: String, _ model: any Serving.InferenceModel, slot: Int) -> ServedDeployment {
        ServedDeployment(name: name, namespace: "default", predictors: [
            ServedPredictor(
                name: "default", weight: 100, modelName: "m", modelVersion: "1", modelURI: "models:/m/1", model: model,
                metricsSlot: slot),
        ])
    }

    func plan(_ name: String) -> PredictorPlan {
        guard let found = state.plan.deployments.first(where: { $0.served.name == name }) else {
            preconditionFailure("the plane does not serve \(name)")
        }
        return found.predictors[0]
    }

    /// What a connection answers to these bytes, which arrive in these pieces.
    func exchange(_ pieces: [UnsafeRawBufferPointer]) throws -> [UInt8] {
        let channel = EmbeddedChannel(handler: InferenceConnection(state: state), loop: loop)
        try channel.connect(to: SocketAddress(ipAddress: "127.0.0.1", port: 1)).wait()
        for piece in pieces where channel.isActive { _ = try? channel.writeInbound(ByteBuffer(bytes: piece)) }
        loop.run()
        var answer: [UInt8] = []
        while let buffer = try? channel.readOutbound(as: ByteBuffer.self) { answer += buffer.readableBytesView }
        _ = try? channel.finish(acceptAlreadyClosed: true)
        return answer
    }

    /// One request with this body.
    func post(_ path: String, _ body: UnsafeRawBufferPointer, headers: String = "") throws -> HTTPReply {
        let head = "POST \(path) HTTP/1.1\r\nHost: a\r\n\(headers)Content-Length: \(body.count)\r\n\r\n"
        let request = Array(head.utf8) + body
        let answer = try request.withUnsafeBytes { try exchange([$0]) }
        guard let reply = try HTTPReply.all(in: answer, isHead: false).last else {
            throw FuzzFinding("a whole request was not answered")
        }
        return reply
    }

    /// Methods whose calls run on this loop.
    var methods: [String: GRPCMethod] {
        let state = state
        func infer(_ kind: GRPCMethod.Kind, isStream: Bool) -> GRPCMethod {
            GRPCMethod(kind) { call, message in
                ModelInferCall(state: state, call: call, isStream: isStream).answer(message)
            }
        }
        return [
            "/inference.GRPCInferenceService/ModelInfer": infer(.unary, isStream: false),
            "/inference.GRPCInferenceService/ModelStreamInfer": infer(.bidirectional, isStream: true),
        ]
    }
}

/// A model that gives back what it is given.
final class EchoModel: Serving.InferenceModel {
    let description = ModelDescription(
        platform: "echo", inputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, -1])],
        outputs: [TensorSpec(name: "x", dataType: .fp32, shape: [-1, -1])], nanosecondsPerRow: 1)

    func infer(_ inputs: [Tensor]) throws(AerieError) -> [Tensor] {
        guard let first = inputs.first else { throw .invalid("inputs", "is empty") }
        for input in inputs { try check(input) }
        return [first]
    }

    /// What a model may rely on: the elements that the shape says.
    private func check(_ tensor: Tensor) throws(AerieError) {
        guard let count = tensor.elementCount else {
            throw AerieError(.internal, "the model was given the shape \(tensor.shape)")
        }
        if let width = tensor.dataType.byteCount {
            guard tensor.bytes.count == count * width else {
                throw AerieError(.internal, "\(tensor.bytes.count) bytes of \(tensor.dataType) in \(tensor.shape)")
            }
        } else if tensor.byteElements?.count != count {
            throw AerieError(.internal, "not \(count) BYTES")
        }
    }
}
