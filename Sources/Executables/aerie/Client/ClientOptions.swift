import AerieCore
import ArgumentParser
import Foundation

/// Where the server is. Every client command takes this.
struct ServerOptions: ParsableArguments {
    static let defaultServer = "http://127.0.0.1:8080"

    @Option(help: "The server's address; else AERIE_SERVER, else \(ServerOptions.defaultServer).")
    var server: String?

    /// - Throws: `invalidArgument` if the address is none.
    func client() throws(AerieError) -> PlatformClient {
        let environment = ProcessInfo.processInfo.environment
        return try PlatformClient(
            server: server ?? environment["AERIE_SERVER"] ?? Self.defaultServer, user: environment["USER"] ?? "")
    }
}

/// `-n NAMESPACE`.
struct NamespaceOptions: ParsableArguments {
    @Option(name: .shortAndLong, help: "The namespace.")
    var namespace: String?
}

/// What a command was asked about: `KIND NAME`, `KIND/NAME` or `KIND` alone.
struct ResourceArgument: Equatable {
    var kind: String
    var name: String?

    /// - Throws: `invalidArgument` with the forms that there are.
    init(_ first: String, _ second: String?) throws(AerieError) {
        let parts = first.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }) else {
            throw .invalid("", "\"\(first)\" is neither KIND nor KIND/NAME")
        }
        if parts.count == 2, let second {
            throw .invalid("", "\"\(first)\" names an object already, and so does \"\(second)\"; write one of them")
        }
        // What becomes part of an address must not be able to change it.
        for part in parts + [second].compactMap({ $0 }) {
            guard part.utf8.allSatisfy({ isPlain($0) }) else {
                throw .invalid("", "\"\(part)\" may hold only letters, digits, '-', '_' and '.'")
            }
        }
        kind = parts[0]
        name = parts.count == 2 ? parts[1] : second
        if name == "" { throw .invalid("", "the name is empty") }
    }

    /// The path of the object, or of all objects of the kind.
    func path(namespace: String) throws(AerieError) -> String {
        guard !namespace.isEmpty, namespace.utf8.allSatisfy({ isPlain($0) }) else {
            throw .invalid("namespace", "\"\(namespace)\" may hold only letters, digits, '-', '_' and '.'")
        }
        return "/api/v1/namespaces/\(namespace)/\(kind)" + (name.map { "/\($0)" } ?? "")
    }
}

private func isPlain(_ byte: UInt8) -> Bool {
    (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
        || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_") || byte == UInt8(ascii: ".")
}
