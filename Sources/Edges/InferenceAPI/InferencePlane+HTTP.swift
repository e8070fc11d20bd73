public import AerieHTTP

extension InferencePlane {
    /// Opens the inference port over HTTP/1.1: Open Inference Protocol v2 and Seldon's predictions.
    /// - Throws: NIO's error if the address cannot be bound.
    public func serveHTTP(host: String, port: Int) async throws -> HTTPServer {
        try await HTTPServer.start(on: group, loops: states, host: host, port: port) { InferenceConnection(state: $0) }
    }
}
