import AerieCore
import AerieData
public import AerieGRPC
import ErrorMapping
import NIOCore
import Serving

extension [GRPCService] {
    /// Everything that the inference port speaks: inference, Seldon's predictions, health, and a description of the
    /// first and the last.
    public static func inferencePort(_ plane: InferencePlane) -> [GRPCService] {
        let services = [GRPCService.inference(plane), .seldon(plane), .health(of: plane)]
        return services + GRPCService.reflection([.inference, .health], services: services.map(\.name))
    }
}

extension GRPCService {
    /// `grpc.health.v1.Health` of a plane: not serving once it drains.
    public static func health(of plane: InferencePlane) -> GRPCService {
        let known: Set = ["", "inference.GRPCInferenceService"]
        return health { known.contains($0) ? plane.isReady : nil }
    }

    /// The server's part of `inference.GRPCInferenceService`, for a port without models.
    public static func serverInfo(version: String) -> GRPCService {
        GRPCService(name: "inference.GRPCInferenceService", methods: serverMethods(version))
    }

    /// `inference.GRPCInferenceService`, answered on the plane's loops.
    public static func inference(_ plane: InferencePlane) -> GRPCService {
        var methods = serverMethods(plane.options.version) { plane.isReady }
        methods["ModelReady"] = aboutModel(plane) { state, message throws(AerieError) in
            let (name, version) = try modelName(message)
            let deployment = state.plan.deployments.first { $0.served.name == name }
            return flagReply(deployment.map { version.isEmpty || versions(of: $0).contains(version) } ?? false)
        }
        methods["ModelMetadata"] = aboutModel(plane) { state, message throws(AerieError) in
            let (name, version) = try modelName(message)
            return try metadata(state.plan, name, version)
        }
        methods.merge(repositoryMethods(plane)) { old, _ in old }
        methods["ModelInfer"] = GRPCMethod(
            .unary, meet: { call, beginning, length in
                ModelInferCall(state: plane.state(for: call.eventLoop), call: call, isStream: false)
                    .meet(beginning, length: length)
            }
        ) { call, message in
            ModelInferCall(state: plane.state(for: call.eventLoop), call: call, isStream: false).answer(message)
        }
        methods["ModelStreamInfer"] = GRPCMethod(.bidirectional) { call, message in
            ModelInferCall(state: plane.state(for: call.eventLoop), call: call, isStream: true).answer(message)
        }
        return GRPCService(name: "inference.GRPCInferenceService", methods: methods)
    }

    private static func serverMethods(
        _ version: String, isReady: @escaping @Sendable () -> Bool = { true }
    ) -> [String: GRPCMethod] {
        var writer = ProtobufWriter()
        writer.text(1, "aerie".utf8)
        writer.text(2, version.utf8)
        for name in serverExtensions { writer.text(3, name.utf8) }
        let metadata = writer.buffer
        return [
            "ServerLive": GRPCMethod(.unary) { call, _ in call.finish(flagReply(true)) },
            "ServerReady": GRPCMethod(.unary) { call, _ in call.finish(flagReply(isReady())) },
            "ServerMetadata": GRPCMethod(.unary) { call, _ in call.finish(metadata) },
        ]
    }
}

private func flagReply(_ value: Bool) -> ByteBuffer {
    var writer = ProtobufWriter()
    writer.flag(1, value)
    return writer.buffer
}

/// The texts in fields 1 and 2, as every request about a model has them.
func modelName(_ message: ByteBuffer) throws(AerieError) -> (name: String, version: String) {
    let result = message.withUnsafeReadableBytes { bytes -> Result<(String, String), AerieError> in
        do throws(AerieError) {
            var texts = ("", "")
            var reader = ProtobufReader(bytes)
            while let field = try reader.next() {
                switch field.number {
                case 1: texts.0 = String(decoding: try reader.delimited(field), as: UTF8.self)
                case 2: texts.1 = String(decoding: try reader.delimited(field), as: UTF8.self)
                default: try reader.skip(field)
                }
            }
            return .success(texts)
        } catch { return .failure(error) }
    }
    return try result.get()
}

private func metadata(_ plan: ServingPlan, _ name: String, _ version: String) throws(AerieError) -> ByteBuffer {
    guard let deployment = plan.deployments.first(where: { $0.served.name == name }) else {
        throw .notFound("there is no model \(name)")
    }
    guard version.isEmpty || versions(of: deployment).contains(version) else {
        throw .notFound("\(name) has no version \(version)")
    }
    let description = deployment.served.predictors[0].model.description
    var writer = ProtobufWriter()
    writer.text(1, name.utf8)
    for version in versions(of: deployment) { writer.text(2, version.utf8) }
    writer.text(3, description.platform.utf8)
    func write(_ number: Int, _ specs: [TensorSpec]) {
        for spec in specs {
            writer.message(number) {
                $0.text(1, spec.name.utf8)
                $0.text(2, spec.dataType.rawValue.utf8)
                $0.packed(3, spec.shape)
            }
        }
    }
    write(4, description.inputs)
    write(5, description.outputs)
    return writer.buffer
}
