import AerieCore
import AerieJSON
import HTTPTypes
import Hummingbird
import NIOCore

extension Response {
    /// Work that takes a while, as lines of JSON: what it tells on its way, and last what it gives or why it failed. A
    /// client that hangs up ends the work, which is waited for; so that this is noticed while there is nothing to
    /// tell, an empty line is written now and then.
    /// - Parameter work: tells by its argument; gives the last line.
    static func lines(
        _ work:
            @escaping @Sendable (_ tell: @escaping @Sendable (JSONValue) -> Void) async throws(AerieError) -> JSONValue
    ) -> Response {
        Response(
            status: .ok, headers: [.contentType: "application/x-ndjson"],
            body: ResponseBody { writer in
                let (events, continuation) = AsyncStream<JSONValue?>.makeStream()
                let task = Task {
                    do throws(AerieError) {
                        continuation.yield(try await work { continuation.yield($0) })
                    } catch { continuation.yield(error.platformJSON) }
                    continuation.finish()
                }
                let pulse = Task {
                    while (try? await Task.sleep(for: .milliseconds(250))) != nil { continuation.yield(nil) }
                }
                defer { pulse.cancel() }
                do {
                    for await event in events {
                        try await writer.write(ByteBuffer(string: (event?.text() ?? "") + "\n"))
                    }
                } catch {
                    task.cancel()
                    await task.value
                    throw error
                }
                try await writer.finish(nil)
            })
    }
}
