import AerieCore
import ArgumentParser
import Foundation
import Logging

/// `aerie up`: every role in one process, until SIGTERM or SIGINT.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run everything in one process.",
        discussion: """
            Prints one line of JSON once it is ready, with the addresses that were really bound. Ends with 0 after
            SIGTERM, when the requests in flight have been answered.
            """)

    @OptionGroup var options: ConfigurationOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let configuration = try options.load()
            LoggingSystem.bootstrap { label in
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = configuration.logLevel
                return handler
            }
            // A client that goes away while it is written to is its own affair.
            signal(SIGPIPE, SIG_IGN)
            // A file that may not grow any more (ulimit -f) is a write that fails, and no reason to end.
            signal(SIGXFSZ, SIG_IGN)
            let signals = Signals()
            let folder = try DataDirectory(path: configuration.dataDirectory)
            let server = try await Server.start(configuration, folder: folder.path)
            FileHandle.standardOutput.write(Data((server.readyLine + "\n").utf8))
            await signals.waitForStop()
            await server.stop()
            _ = consume folder
        }
    }
}
