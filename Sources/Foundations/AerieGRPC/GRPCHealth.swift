import AerieCore
import AerieWire
import NIOCore

extension GRPCService {
    /// `grpc.health.v1.Health`, for probes of Kubernetes and load balancers.
    /// - Parameter isServing: asked at each check; the empty name means the whole server, `nil` an unknown service.
    public static func health(
        _ isServing: @escaping @Sendable (String) -> Bool? = { $0.isEmpty ? true : nil }
    ) -> GRPCService {
        GRPCService(name: "grpc.health.v1.Health", methods: [
            "Check": GRPCMethod(.unary) { call, message in
                guard let service = serviceName(message) else { return call.finish(status: 3, message: notRead) }
                guard let serves = isServing(service) else {
                    return call.finish(status: 5, message: "there is no such service")
                }
                call.finish(reply(serves ? 1 : 2))
            },
            "Watch": GRPCMethod(.serverStreaming) { call, message in
                guard let service = serviceName(message) else { return call.finish(status: 3, message: notRead) }
                call.send(reply(isServing(service).map { $0 ? 1 : 2 } ?? 3))
                call.next()
            },
        ])
    }
}

private let notRead = "the message is no HealthCheckRequest"

/// `HealthCheckResponse.status`: 1 serving, 2 not serving, 3 unknown service.
private func reply(_ status: UInt64) -> ByteBuffer {
    var writer = ProtobufWriter()
    writer.field(1, varint: status)
    return ByteBuffer(bytes: writer.bytes)
}

/// `HealthCheckRequest.service`; `nil` if the message cannot be read.
private func serviceName(_ message: ByteBuffer) -> String? {
    message.withUnsafeReadableBytes { bytes in
        do throws(AerieError) {
            var service = ""
            var reader = ProtobufReader(bytes)
            while let field = try reader.next() {
                if field.number == 1, field.wire == 2 { service = try reader.text() } else { try reader.skip(field) }
            }
            return service
        } catch { return nil }
    }
}
