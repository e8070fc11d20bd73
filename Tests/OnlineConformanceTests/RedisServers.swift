import AerieCore
import Foundation
import Synchronization

/// Real `redis-server` processes on free ports, in a folder of their own, ended with the test that started them.
final class RedisServers: Sendable {
    private struct State { var processes: [Int: Process] = [:] }

    let ports: [Int]
    private let folder: String
    private let isCluster: Bool
    private let state = Mutex(State())

    /// - Parameter nodes: 1 for a single server; 6 for a cluster of three masters with a replica each.
    init(nodes: Int) throws {
        isCluster = nodes > 1
        folder = "/tmp/aerie-redis-" + IdentifierSource.system.hex32().prefix(12)
        ports = try (0..<nodes).map { _ in try Self.freePort() }
        for port in ports { try start(port) }
        guard isCluster else { return }
        let addresses = ports.map { "127.0.0.1:\($0)" }
        let made = try Self.run(
            "/usr/bin/redis-cli", ["--cluster", "create"] + addresses + ["--cluster-replicas", "1", "--cluster-yes"])
        guard made.status == 0 else { throw AerieError(.internal, "no cluster: \(made.output)") }
        try waitUntilWhole()
    }

    var url: String {
        isCluster
            ? "redis-cluster://" + ports.map { "127.0.0.1:\($0)" }.joined(separator: ",")
            : "redis://127.0.0.1:\(ports[0])"
    }

    func start(_ port: Int) throws {
        let place = "\(folder)/\(port)"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/redis-server")
        process.arguments =
            [
                "--port", "\(port)", "--bind", "127.0.0.1", "--dir", place, "--save", "", "--appendonly",
                isCluster ? "no" : "yes", "--appendfsync", "always", "--daemonize", "no",
            ] + (isCluster ? ["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"] : [])
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        state.withLock { $0.processes[port] = process }
        for _ in 0..<200 {
            if try cli(port, ["PING"]).contains("PONG") { return }
            usleep(20_000)
        }
        throw AerieError(.internal, "redis-server did not start on \(port)")
    }

    func kill(_ port: Int) {
        guard let process = state.withLock({ $0.processes.removeValue(forKey: port) }) else { return }
        Foundation.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// Stops a server from answering without closing its connections, and lets it go on.
    func freeze(_ port: Int, _ isFrozen: Bool) {
        guard let process = state.withLock({ $0.processes[port] }) else { return }
        Foundation.kill(process.processIdentifier, isFrozen ? SIGSTOP : SIGCONT)
    }

    func cli(_ port: Int, _ words: [String]) throws -> String {
        try Self.run("/usr/bin/redis-cli", ["-p", "\(port)"] + words).output
    }

    /// Commands a line each, with binary words in the quoted form in which answers have them.
    func cli(_ port: Int, script: [String]) throws -> [String] {
        let output = try Self.run(
            "/usr/bin/redis-cli", ["-p", "\(port)", "--no-raw"], input: script.joined(separator: "\n") + "\n"
        ).output
        return output.split(separator: "\n").map { String($0) }
    }

    /// How often a command was carried out.
    func calls(_ command: String) throws -> Int {
        let statistics = try cli(ports[0], ["INFO", "commandstats"])
        let line = statistics.split(whereSeparator: \.isNewline).first { $0.hasPrefix("cmdstat_\(command):calls=") }
        return line.flatMap { Int($0.dropFirst(15 + command.count).prefix { $0.isNumber }) } ?? 0
    }

    func waitUntilWhole() throws {
        for _ in 0..<400 {
            let isWhole = try ports.filter { port in state.withLock { $0.processes[port] != nil } }.allSatisfy { port in
                let info = try cli(port, ["CLUSTER", "INFO"])
                return info.contains("cluster_state:ok") && info.contains("cluster_slots_ok:16384")
            }
            if isWhole { return }
            usleep(50_000)
        }
        throw AerieError(.internal, "the cluster did not become whole")
    }

    func end() {
        for port in ports {
            freeze(port, false)
            kill(port)
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    static func run(
        _ program: String, _ arguments: [String], input: String? = nil
    ) throws -> (status: Int32, output: String) {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: program)
        process.arguments = arguments
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        process.standardInput = FileHandle.nullDevice
        let file = NSTemporaryDirectory() + "aerie-redis-" + IdentifierSource.system.hex32()
        defer { try? FileManager.default.removeItem(atPath: file) }
        if let input {
            try input.write(toFile: file, atomically: false, encoding: .utf8)
            process.standardInput = FileHandle(forReadingAtPath: file)
        }
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return (process.terminationStatus, String(decoding: data, as: UTF8.self))
    }

    /// A port that is free, and whose cluster port, 10,000 further, is free too.
    private static func freePort() throws -> Int {
        for _ in 0..<100 {
            let port = Int.random(in: 20_000..<45_000)
            if isFree(port), isFree(port + 10_000) { return port }
        }
        throw AerieError(.internal, "no free ports")
    }

    private static func isFree(_ port: Int) -> Bool {
        let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        } == 0
    }
}
