import AerieCore
import Foundation
import Synchronization
import Testing

/// A real PostgreSQL server for the tests of this process: started by the first that asks, in a folder of its own, on a
/// socket of its own, and stopped when the process ends.
final class PostgresServer: Sendable {
    private let folder: String
    private let programs: String

    static let shared = Result { try PostgresServer() }

    private init() throws {
        let root = "/usr/lib/postgresql"
        let versions = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        guard let newest = versions.sorted(by: { (Int($0) ?? 0) < (Int($1) ?? 0) }).last else {
            throw AerieError(.unavailable, "there is no PostgreSQL server on this machine; run scripts/test-tools")
        }
        programs = "\(root)/\(newest)/bin"
        folder = "/tmp/aerie-pg-" + IdentifierSource.system.hex32().prefix(12)
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        if getuid() == 0 { try run("/bin/chown", ["postgres", folder], asServer: false) }
        try run(
            "\(programs)/initdb", ["-D", "\(folder)/data", "-U", "aerie", "-A", "trust", "--no-locale", "-E", "UTF8"])
        atexit { PostgresServer.running.end() }
        try start()
    }

    // Not by pg_ctl: what that leaves running holds on to the pipe by which the end of a process is seen. The kernel
    // keeps what was written when the server crashes, so nothing is lost without fsync here, and after a crash the many
    // databases of the tests need not be synced file by file.
    private func start() throws {
        let server = try Self.launch(
            "\(programs)/postgres",
            [
                "-D", "\(folder)/data", "-k", folder, "-c", "listen_addresses=", "-c", "max_connections=300",
                "-c", "fsync=off",
            ], asServer: true)
        Self.running.set(server, folder)
        for _ in 0..<2400 {
            if (try? Self.run("\(programs)/pg_isready", ["-h", folder], asServer: false)) != nil { return }
            guard server.isRunning else { break }
            usleep(50_000)
        }
        throw AerieError(.internal, "PostgreSQL did not start in \(folder)")
    }

    /// Ends the server as a crash would, and starts it again.
    func crashAndRestart() throws {
        Self.running.kill()
        try start()
    }

    /// The address of a fresh, empty database.
    func freshDatabase() throws -> String {
        let name = "t" + IdentifierSource.system.hex32()
        try run("\(programs)/createdb", ["-h", folder, "-U", "aerie", name], asServer: false)
        return "postgresql://aerie@/\(name)?host=\(folder)"
    }

    private func run(_ program: String, _ arguments: [String], asServer: Bool = true) throws {
        try Self.run(program, arguments, asServer: asServer)
    }

    private static func run(_ program: String, _ arguments: [String], asServer: Bool) throws {
        let process = try launch(program, arguments, asServer: asServer)
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            throw AerieError(.internal, "\(program) ended with \(process.terminationStatus)")
        }
    }

    /// PostgreSQL refuses to be run by root.
    private static func launch(_ program: String, _ arguments: [String], asServer: Bool) throws -> Process {
        let process = Process()
        var words = [program] + arguments
        if asServer, getuid() == 0 {
            words = ["/usr/bin/setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] + words
        }
        process.executableURL = URL(fileURLWithPath: words[0])
        process.arguments = Array(words.dropFirst())
        process.currentDirectoryURL = URL(fileURLWithPath: "/tmp")
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }

    private static let running = Running()

    /// What to end with the process; a function given to `atexit` takes nothing along.
    private final class Running: Sendable {
        private let place = Mutex<(server: Int32, folder: String)?>(nil)

        func set(_ server: Process, _ folder: String) {
            let number = server.processIdentifier
            place.withLock { $0 = (number, folder) }
        }

        /// At once, without a word to anybody; waits until its socket is gone or nobody answers.
        func kill() {
            guard let place = place.withLock({ $0 }) else { return }
            Foundation.kill(place.server, SIGQUIT)
            let mark = place.folder + "/data/postmaster.pid"
            for _ in 0..<500 where FileManager.default.fileExists(atPath: mark) { usleep(10_000) }
        }

        func end() {
            kill()
            guard let place = place.withLock({ $0 }) else { return }
            try? FileManager.default.removeItem(atPath: place.folder)
        }
    }
}
