import AerieCore
import AerieHTTP
import FeastAPI
import InferenceAPI
import Logging

extension Server {
    /// Feast's own port.
    static let feastPort = ListenAddress(host: "127.0.0.1", port: 6566)

    /// Opens the port of online features. Where nobody has chosen one and Feast's own port is taken, perhaps by Feast,
    /// the control port alone serves them.
    static func serveFeatures(
        _ chosen: ListenAddress?, platform: Platform, plane: InferencePlane, logger: Logger
    ) async throws(AerieError) -> HTTPServer? {
        let address = chosen ?? feastPort
        do throws(AerieError) {
            return try await bound(address, "--feast-http") {
                try await FeastRoutes(store: platform.features, logger: logger).serve(
                    on: plane.group, host: $0.host, port: $0.port, metrics: platform.metrics,
                    reader: { platform.onlineReader(on: $0) })
            }
        } catch {
            if chosen != nil { throw error }
            logger.warning(
                "\(address) is taken: online features are served on the control port only; --feast-http chooses another")
            return nil
        }
    }
}
