import AerieCore
import NIOCore
import NIOPosix
import Serving
import Synchronization
import Testing

@testable import InferenceAPI

/// What it is asked for is so on each loop a moment later.
private final class LateRepository: ModelRepository {
    let loops: [any EventLoop]
    let arrived = Atomic<Int>(0)

    init(_ loops: [any EventLoop]) { self.loops = loops }

    func index() -> [DeploymentState] { [] }
    func load(_ name: String, policy: ServingPolicy?, files: [String: [UInt8]]) async throws(AerieError) { tell() }
    func unload(_ name: String) async throws(AerieError) { tell() }
    func wake(_ name: String) async throws(AerieError) { throw .notFound("there is no model \(name)") }

    private func tell() {
        for loop in loops {
            let arrive: @Sendable () -> Void = { self.arrived.add(1, ordering: .relaxed) }
            // A loop that is busy with many other things first.
            for _ in 0..<1000 { loop.execute {} }
            loop.execute(arrive)
        }
    }
}

@Suite("A repository's calls return when all loops have what was asked for")
struct SettledRepositoryTests {
    @Test func everyLoopHasIt() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 3)
        let late = LateRepository(group.makeIterator().map { $0 })
        let settled = SettledRepository(repository: late, loops: late.loops)
        for round in 0..<50 {
            try await settled.load("a", policy: nil, files: [:])
            #expect(late.arrived.load(ordering: .relaxed) == 6 * round + 3)
            try await settled.unload("a")
            #expect(late.arrived.load(ordering: .relaxed) == 6 * round + 6)
        }
        await #expect(throws: AerieError.self) { try await settled.wake("b") }
        try await group.shutdownGracefully()
    }
}
