import Foundation
import Glibc

/// Reads a streamed answer line by line as it comes, which HummingbirdTesting's client cannot.
enum WatchClient {
    /// The lines of JSON of an answer to `GET path`; ends when the server ends it, or after ten seconds of silence.
    static func lines(_ path: String, port: Int) -> AsyncStream<String> {
        AsyncStream { continuation in
            let thread = Thread {
                defer { continuation.finish() }
                let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                guard descriptor >= 0 else { return }
                defer { close(descriptor) }
                var limit = timeval(tv_sec: 10, tv_usec: 0)
                setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = in_port_t(port).bigEndian
                address.sin_addr.s_addr = inet_addr("127.0.0.1")
                let connected = withUnsafePointer(to: &address) { pointer in
                    pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                    }
                }
                guard connected == 0 else { return }
                let request = Array("GET \(path) HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n".utf8)
                guard write(descriptor, request, request.count) == request.count else { return }
                var rest: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while true {
                    let count = read(descriptor, &buffer, buffer.count)
                    guard count > 0 else { return }
                    rest += buffer[..<count]
                    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                        // Chunk sizes and headers are lines too; an event is an object.
                        if rest.first == UInt8(ascii: "{") {
                            continuation.yield(String(decoding: rest[..<end], as: UTF8.self))
                        }
                        rest.removeFirst(end + 1)
                    }
                }
            }
            thread.start()
        }
    }
}
