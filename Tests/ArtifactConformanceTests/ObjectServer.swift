import AerieCore
import Foundation
import StoreObjects
import Synchronization

/// A real S3 server (moto's) on a free port, with one bucket, ended with the test that started it.
final class ObjectServer: Sendable {
    let port: Int
    private let process: Mutex<Process?>
    private let executable: String

    /// - Throws: if the project's Python environment is not there; `scripts/python-env` makes it.
    init() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        executable = root + "/.venv/bin/moto_server"
        port = try Self.freePort()
        process = Mutex(nil)
        try await start()
        try await makeBucket()
    }

    deinit { stop() }

    var endpoint: String { "http://127.0.0.1:\(port)" }

    func start() async throws {
        let new = Process()
        new.executableURL = URL(fileURLWithPath: executable)
        new.arguments = ["-H", "127.0.0.1", "-p", "\(port)"]
        new.standardOutput = FileHandle.nullDevice
        new.standardError = FileHandle.nullDevice
        try new.run()
        process.withLock { $0 = new }
        for _ in 0..<600 {
            if Self.isOpen(port) { return }
            try await Task.sleep(for: .milliseconds(50))
        }
        throw AerieError(.internal, "moto_server did not start on \(port)")
    }

    func stop() {
        process.withLock { running in
            guard let old = running else { return }
            kill(old.processIdentifier, SIGKILL)
            old.waitUntilExit()
            running = nil
        }
    }

    func settings(access: String = "test") -> ObjectSettings {
        ObjectSettings(
            credentials: ObjectCredentials(accessKey: access, secretKey: "secret"), region: "us-east-1",
            endpoint: endpoint)
    }

    func store(_ prefix: String = "", bucket: String = "artifacts") throws(AerieError) -> ObjectArtifactStore {
        try ObjectArtifactStore(
            ObjectLocation("s3://\(bucket)/\(prefix)"), settings: settings(),
            backoff: Backoff(base: .milliseconds(5), cap: .milliseconds(80), jitter: 0.5))
    }

    func makeBucket() async throws {
        let made = Process()
        made.executableURL = URL(fileURLWithPath: "/usr/bin/curl")
        made.arguments = ["-sf", "-X", "PUT", endpoint + "/artifacts"]
        made.standardOutput = FileHandle.nullDevice
        try made.run()
        made.waitUntilExit()
        guard made.terminationStatus == 0 else { throw AerieError(.internal, "no bucket was made") }
    }

    private static func isOpen(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = address(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = address(0)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, size) == 0 ? getsockname(descriptor, $0, &size) : -1
            }
        }
        guard code == 0 else { throw AerieError(.internal, "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func address(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }
}
