public import AerieCore

/// What can be asked of the models beyond predictions: to come into memory, and to leave it.
///
/// Contract: every call may be made from any task and returns when what it asks for is so. A failure changes nothing:
/// what answered before answers still. What is loaded or unloaded here lasts as long as the process; deployments that
/// are declared are as they are declared again after a restart.
public protocol ModelRepository: Sendable {
    /// Every model that is known, loaded or not.
    func index() -> [DeploymentState]

    /// Loads a model, or loads it again: the one that is deployed under the name, else the registry's newest version of
    /// it, else the given files. Requests go to the old one until the new one is ready.
    /// - Parameters:
    ///   - policy: how to serve it from now on; `nil` for what its deployment says.
    ///   - files: the model's content by `version/name`, such as `1/model.onnx`.
    /// - Throws: `notFound` for a name that nobody knows; what loading throws.
    func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError)

    /// Takes a model off the table and out of memory. Requests in flight are still answered.
    /// - Throws: `notFound`.
    func unload(_ name: String) async throws(AerieError)

    /// Brings a model into memory that is loaded when it is asked for. Many may ask at once; it is loaded once.
    /// - Throws: `notFound` for a name that is no such model; `resourceExhausted` for one that is larger than the room
    ///   for all of them; what loading throws.
    func wake(_ name: String) async throws(AerieError)
}
