import AerieCore
import Features

/// Stands where the online store's library is missing: the server starts, and says at each use what is to be installed.
struct MissingOnlineStore: OnlineStore {
    let error: AerieError

    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] { throw error }
    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int { throw error }
    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) { throw error }
    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int { throw error }
    func drop(_ view: OnlineView) async throws(AerieError) -> Int { throw error }
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { throw error }
}
