import Dispatch
import Foundation

/// The operator's request to stop: SIGTERM or SIGINT. Heard from when this is made, waited for later; a second one ends
/// the process at once.
struct Signals: Sendable {
    private let stream: AsyncStream<Int32>

    init() {
        stream = AsyncStream { continuation in
            let sources = [SIGTERM, SIGINT].map { number in
                signal(number, SIG_IGN)
                let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
                source.setEventHandler { continuation.yield(number) }
                source.resume()
                return source
            }
            nonisolated(unsafe) let held = sources
            continuation.onTermination = { _ in held.forEach { $0.cancel() } }
        }
    }

    /// Returns at the first request, also if that came before.
    func waitForStop() async {
        for await _ in stream {
            for number in [SIGTERM, SIGINT] { signal(number, SIG_DFL) }
            return
        }
    }
}
