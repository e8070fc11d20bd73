import Dispatch
import Foundation

/// Waits for the operator's request to stop: SIGTERM or SIGINT. A second one ends the process at once.
enum Signals {
    static func waitForStop() async {
        let stream = AsyncStream<Int32> { continuation in
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
        for await number in stream {
            signal(number, SIG_DFL)
            return
        }
    }
}
