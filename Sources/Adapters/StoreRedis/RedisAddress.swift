public import AerieCore
import Foundation
import NIOCore
import NIOPosix

/// Where a Redis server listens, and who says so. The password is never shown.
public struct RedisAddress: Sendable, Hashable, CustomStringConvertible {
    public var host: String
    public var port: Int
    public var user: String
    public var password: String?
    public var database: Int

    public init(host: String, port: Int, user: String = "", password: String? = nil, database: Int = 0) {
        self.host = host
        self.port = port
        self.user = user
        self.password = password
        self.database = database
    }

    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }

    func unreachable(_ why: String, cause: (any Error)?) -> AerieError {
        AerieError(
            .unavailable, "cannot reach Redis at \(self): \(why)", reason: "redis.unreachable", cause: cause)
    }

    /// In the system's own words where a connection could not be made.
    func unreachable(_ error: any Error) -> AerieError {
        let first = (error as? NIOConnectionError)?.connectionErrors.first?.error ?? error
        guard let system = first as? IOError else { return unreachable("\(first)", cause: error) }
        return unreachable(String(cString: strerror(system.errnoCode)), cause: error)
    }

    /// `redis://[user:password@]host[:port][/database]` for one server; `redis-cluster://host:port,host:port` for some
    /// of a cluster's nodes.
    /// - Throws: `invalidArgument`, without the password.
    public static func parse(_ url: String) throws(AerieError) -> (addresses: [RedisAddress], isCluster: Bool) {
        func wrong(_ why: String) -> AerieError {
            .invalid("", "the Redis URL \(why); write redis://host:6379 or redis-cluster://host:7000,host:7001")
        }
        let isCluster = url.hasPrefix("redis-cluster://")
        guard isCluster || url.hasPrefix("redis://") else {
            throw wrong("begins neither with redis:// nor redis-cluster://")
        }
        var rest = url.dropFirst(isCluster ? 16 : 8)
        var (user, password): (String, String?) = ("", nil)
        if let at = rest.lastIndex(of: "@") {
            let parts = rest[..<at].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw wrong("has no password before the @") }
            (user, password) = (String(parts[0]), String(parts[1]))
            rest = rest[rest.index(after: at)...]
        }
        var database = 0
        if let slash = rest.firstIndex(of: "/") {
            let text = rest[rest.index(after: slash)...]
            guard let number = Int(text.isEmpty ? "0" : text), number >= 0, !isCluster || number == 0 else {
                throw wrong("names no database by its number")
            }
            database = number
            rest = rest[..<slash]
        }
        var addresses: [RedisAddress] = []
        for part in rest.split(separator: ",", omittingEmptySubsequences: false) {
            let pieces = part.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard let host = pieces.first, !host.isEmpty, let port = Int(pieces.count > 1 ? pieces[1] : "6379"),
                (1...65535).contains(port)
            else { throw wrong("names no host and port") }
            addresses.append(
                RedisAddress(
                    host: String(host), port: port, user: user, password: password, database: database))
        }
        guard isCluster || addresses.count == 1 else { throw wrong("names several servers that are no cluster") }
        return (addresses, isCluster)
    }
}
