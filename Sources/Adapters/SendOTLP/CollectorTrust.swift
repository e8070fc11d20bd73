import AerieCore
import NIOCore
import NIOSSL
import NIOTLS

/// By whose word a collector is believed to be the one that is meant: TLS as both transports use it.
struct CollectorTrust: Sendable {
    /// Verifies the collector's certificate and its name.
    let configuration: TLSConfiguration

    /// - Parameter file: certificates in PEM; `nil` for the machine's own.
    /// - Throws: `invalidArgument` for a file that is not there or holds none.
    init(_ file: String?) throws(AerieError) {
        var configuration = TLSConfiguration.makeClientConfiguration()
        if let file {
            let found: [NIOSSLCertificate]
            do { found = try NIOSSLCertificate.fromPEMFile(file) } catch {
                throw .invalid("", "\(file) cannot be read as certificates in PEM: \(error)")
            }
            guard !found.isEmpty else { throw .invalid("", "\(file) holds no certificate in PEM") }
            configuration.trustRoots = .certificates(found)
        }
        self.configuration = configuration
    }

    /// For HTTP/2 over TLS.
    func http2Context() throws(AerieError) -> NIOSSLContext {
        var configuration = configuration
        configuration.applicationProtocols = ["h2"]
        do { return try NIOSSLContext(configuration: configuration) } catch {
            throw .invalid("", "TLS to the collector cannot be set up: \(error)")
        }
    }
}

/// Waits until both sides have agreed on HTTP/2, so that a refusal is told by its own words.
final class HandshakeWaiter: ChannelInboundHandler {
    typealias InboundIn = Any
    private let done: EventLoopPromise<Void>

    init(_ done: EventLoopPromise<Void>) { self.done = done }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted(let agreed)? = event as? TLSUserEvent {
            if agreed == "h2" {
                done.succeed()
            } else {
                done.fail(AerieError(.unavailable, "it does not speak HTTP/2, as gRPC needs"))
            }
        }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        done.fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        done.fail(AerieError(.unavailable, "it closed the connection before TLS was agreed on"))
        context.fireChannelInactive()
    }
}
