import AerieCore
import NIOCore
import Serving

/// The repository as a plane's clients see it: what was asked for is so on every event loop when the call returns, so
/// that the next request, on whichever connection, meets it.
struct SettledRepository: ModelRepository {
    let repository: any ModelRepository
    let loops: [any EventLoop]

    func index() -> [DeploymentState] { repository.index() }

    func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError) {
        try await repository.load(name, policy: policy, files: files)
        await settle()
    }

    func unload(_ name: String) async throws(AerieError) {
        try await repository.unload(name)
        await settle()
    }

    func wake(_ name: String) async throws(AerieError) {
        try await repository.wake(name)
        await settle()
    }

    /// Loops take a table when they come to it; once they have come to what was asked of them after it, they have it. A
    /// loop that is shut down answers nobody.
    private func settle() async {
        for loop in loops { try? await loop.submit {}.get() }
    }
}
