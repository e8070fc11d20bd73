import AerieCore
import Dispatch
import Glibc
import Testing
import Webhooks

@testable import SendWebhooks

@Suite struct HTTPWebhookSenderTests {
    private func request(_ url: String) -> WebhookRequest {
        WebhookRequest(url: url, headers: [("Content-Type", "application/json"), ("X-Test", "1")], body: "{}")
    }

    /// A socket that listens on a free port, and the port.
    private func listener() throws -> (Int32, UInt16) {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(socket >= 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let bound = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(socket, pointer, length) == 0 && listen(socket, 8) == 0
                    && getsockname(socket, pointer, &length) == 0
            }
        }
        try #require(bound)
        return (socket, UInt16(bigEndian: address.sin_port))
    }

    @Test("a receiver that is not there is unavailable")
    func refused() async throws {
        let (socket, port) = try listener()
        close(socket)
        let sender = HTTPWebhookSender(timeoutSeconds: 5)
        await #expect {
            _ = try await sender.send(request("http://127.0.0.1:\(port)/"))
        } throws: { ($0 as? AerieError)?.code == .unavailable }
        await sender.close()
    }

    @Test("a receiver that never answers does not hold the sender")
    func silent() async throws {
        let (socket, port) = try listener()
        let sender = HTTPWebhookSender(timeoutSeconds: 1)
        await #expect {
            _ = try await sender.send(request("http://127.0.0.1:\(port)/"))
        } throws: { ($0 as? AerieError)?.code == .deadlineExceeded }
        await sender.close()
        close(socket)
    }

    @Test("a receiver that never ends its answer does not hold the sender")
    func endless() async throws {
        let (socket, port) = try listener()
        async let served: Void = withCheckedContinuation { continuation in
            DispatchQueue.global().async {
                let connection = accept(socket, nil, nil)
                var request = [UInt8](repeating: 0, count: 4096)
                _ = read(connection, &request, request.count)
                let answer = Array("HTTP/1.1 202 Accepted\r\nContent-Length: 100000\r\n\r\nso far".utf8)
                _ = write(connection, answer, answer.count)
                // Returns once the sender has let go.
                while read(connection, &request, request.count) > 0 {}
                close(connection)
                continuation.resume()
            }
        }
        let sender = HTTPWebhookSender(timeoutSeconds: 1)
        let response = try await sender.send(request("http://127.0.0.1:\(port)/"))
        #expect(response == WebhookResponse(status: 202, body: "so far"))
        await served
        await sender.close()
        close(socket)
    }
}

@Suite struct RetryAfterTests {
    private let now = Timestamp(milliseconds: 784_111_777_000)

    // The date is RFC 9110's own example; its seconds since 1970 are `date -d`'s.
    @Test(
        "seconds and dates are read",
        arguments: [
            ("120", 120_000), ("0", 0), (" 7", 7000), ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
            ("Sun, 06 Nov 1994 08:50:00 GMT", 23_000), ("Sat, 05 Nov 1994 08:49:37 GMT", 0),
            ("99999999999999", 1_000_000_000_000),
        ])
    func read(_ text: String, _ expected: Int64) {
        #expect(RetryAfter.milliseconds(text, now: now) == expected)
    }

    @Test(
        "what is neither is passed over",
        arguments: ["", "soon", "-1", "1.5", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 25:00:00 GMT"])
    func other(_ text: String) { #expect(RetryAfter.milliseconds(text, now: now) == nil) }
}
