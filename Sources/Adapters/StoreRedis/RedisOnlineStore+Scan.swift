public import AerieCore
public import Features

/// Looking at every key of the servers.
extension RedisOnlineStore {
    public func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) {
        let words = [Array("HMGET".utf8)]
        let fields = features.map { Self.field(view.fields[$0]) } + [Self.timeField(view)]
        try await forEachKey(of: view.project) { keys throws(AerieError) in
            if Task.isCancelled { throw AerieError(.cancelled, "the search was cancelled") }
            let replies = try await client.send(keys.map { ($0, RedisCommand(words + [$0] + fields)) })
            for (key, reply) in zip(keys, replies) {
                if let words = reply.error { throw Self.refused(words) }
                guard let values = reply.array, values.count == fields.count else {
                    throw AerieError(.dataLoss, "Redis answers a read with something else")
                }
                guard values.contains(where: { $0.bytes != nil }) else { continue }
                try Self.show(key.dropLast(view.project.utf8.count), values.map { $0.bytes ?? [] }, body)
            }
        }
    }

    /// - Parameter values: of the features that were asked for, and behind them the time.
    private static func show(
        _ key: ArraySlice<UInt8>, _ values: [[UInt8]], _ body: (ScannedRow) throws(AerieError) -> Void
    ) throws(AerieError) {
        let time = try values.last.flatMap { bytes throws(AerieError) in
            bytes.isEmpty ? nil : try RowScript.time(bytes)
        }
        let flat = Array(key) + values.dropLast().joined()
        let failure = flat.withUnsafeBytes { bytes -> AerieError? in
            var places: [UnsafeRawBufferPointer] = []
            var end = key.count
            for value in values.dropLast() {
                places.append(UnsafeRawBufferPointer(rebasing: bytes[end..<(end + value.count)]))
                end += value.count
            }
            let name = UnsafeRawBufferPointer(rebasing: bytes[..<key.count])
            do throws(AerieError) { try body(ScannedRow(key: name, time: time ?? 0, values: places)) } catch {
                return error
            }
            return nil
        }
        if let failure { throw failure }
    }

    /// Every key of the servers that is an entity's, followed by the project; some hundred at a time. A key may come
    /// twice, as `SCAN` has it.
    func forEachKey(
        of project: String, _ body: ([[UInt8]]) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        let pattern = "*" + project.map { "*?[]\\".contains($0) ? "\\\($0)" : "\($0)" }.joined()
        let name = Array(project.utf8)
        for address in try await client.masters() {
            var cursor = "0"
            repeat {
                let reply = try await client.send(
                    RedisCommand("SCAN", cursor, "MATCH", pattern, "COUNT", "1000"), to: address)
                if let words = reply.error { throw Self.refused(words) }
                cursor = reply.array?.first?.text ?? "0"
                // Names of other projects may end alike.
                let keys = (reply.array?.last?.array ?? []).compactMap(\.bytes).filter { key in
                    key.withUnsafeBytes { EntityKey.parse($0)?.count } == key.count - name.count
                }
                try await body(keys)
            } while cursor != "0"
        }
    }
}
