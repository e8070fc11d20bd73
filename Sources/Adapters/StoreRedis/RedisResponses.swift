public import AerieCore
import NIOCore
public import Serving

/// Answers of models in Redis or a Redis Cluster, for all servers that name the same one.
///
/// An answer is a string under `aerie:response:` and the hexadecimal key, and expires after an hour. A server that does
/// not answer in time costs the request that time and no more.
public struct RedisResponses: SharedResponses {
    private static let lifetime = "3600"
    private let client: RedisClient

    /// No connection is made before the first answer is asked for.
    /// - Parameter url: as for the online store.
    /// - Throws: `invalidArgument` for a URL of another form.
    public init(url: String) throws(AerieError) {
        let (addresses, isCluster) = try RedisAddress.parse(url)
        client = RedisClient(addresses, isCluster: isCluster, timeout: .milliseconds(500), patience: .zero)
    }

    public func answer(for key: ResponseKey) async -> [UInt8]? {
        let name = Self.name(key)
        let replies = try? await client.send([(name, RedisCommand([Array("GET".utf8), name]))])
        return replies?.first?.bytes
    }

    public func keep(_ answer: [UInt8], for key: ResponseKey) async {
        let name = Self.name(key)
        let words = [Array("SET".utf8), name, answer, Array("EX".utf8), Array(Self.lifetime.utf8)]
        _ = try? await client.send([(name, RedisCommand(words))])
    }

    private static func name(_ key: ResponseKey) -> [UInt8] {
        Array("aerie:response:\(Hexadecimal.encode(key.digest))".utf8)
    }
}
