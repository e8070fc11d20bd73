import Foundation
import Hummingbird
import Testing

/// For trying a real client against the edge alone: `AERIE_LIVE=port:seconds`.
@Suite struct LiveServerTests {
    @Test("serves the edge on a port for real clients",
        .enabled(if: ProcessInfo.processInfo.environment["AERIE_LIVE"] != nil))
    func serves() async throws {
        let parts = (ProcessInfo.processInfo.environment["AERIE_LIVE"] ?? "").split(separator: ":").compactMap { Int($0) }
        let fixture = try MLflowFixture()
        defer { fixture.remove() }
        let application = Application(
            router: fixture.router, configuration: .init(address: .hostname("127.0.0.1", port: parts.first ?? 0)))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await application.runService(gracefulShutdownSignals: []) }
            group.addTask { try await Task.sleep(for: .seconds(parts.count > 1 ? parts[1] : 60)) }
            _ = try await group.next()
            group.cancelAll()
        }
    }
}
