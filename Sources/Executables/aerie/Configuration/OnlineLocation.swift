import AerieCore
import StoreRedis

/// Where feature values are kept for reading online.
enum OnlineLocation: Sendable, Equatable {
    /// One file in the data folder.
    case lmdb
    /// `redis://…` or `redis-cluster://…`. It may hold a password and is never shown.
    case redis(String)

    init(_ text: String) throws(AerieError) {
        if text == "lmdb" {
            self = .lmdb
        } else if text.hasPrefix("redis://") || text.hasPrefix("redis-cluster://") {
            _ = try RedisAddress.parse(text)
            self = .redis(text)
        } else {
            throw .invalid(
                "",
                "\"\(text.prefix(12))\" is neither lmdb (in the data folder) nor a URL such as redis://host:6379 or "
                    + "redis-cluster://host:7000,host:7001")
        }
    }
}
