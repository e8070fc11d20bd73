import AerieCore
import NIOCore
import Synchronization

/// Sends commands to the server that has their key: the only one, or one of a cluster's.
///
/// A cluster's slots are learnt from any node, and learnt anew when a node says that a key has moved or cannot be
/// reached; a command is tried again until `patience` is over, which is longer than an election takes by default. Once
/// one has waited so long in vain, those that follow within the same time are tried once: nobody waits for servers that
/// are known to be away.
final class RedisClient: Sendable {
    private struct State {
        var connections: [RedisAddress: RedisConnection] = [:]
        /// For each of the 16,384 slots its master; empty for a single server.
        var slots: [RedisAddress?] = []
        /// Nodes that are known of, to ask for the slots.
        var nodes: [RedisAddress]
        /// Until when commands are tried once.
        var isAway: ContinuousClock.Instant?
    }

    private let state: Mutex<State>
    private let seeds: [RedisAddress]
    private let isCluster: Bool
    private let timeout: TimeAmount
    private let patience: Duration
    private static let backoff = Backoff(base: .milliseconds(10), cap: .milliseconds(250))

    init(_ addresses: [RedisAddress], isCluster: Bool, timeout: TimeAmount, patience: Duration) {
        state = Mutex(State(nodes: addresses))
        seeds = addresses
        self.isCluster = isCluster
        self.timeout = timeout
        self.patience = patience
    }

    deinit { state.withLock { $0.connections.values.forEach { $0.close() } } }

    /// Sends each command to where its key is, all at once, and gives the replies in the same order.
    /// - Throws: `unavailable` if that is not possible for one of them; others may have been carried out.
    func send(_ commands: [(key: [UInt8], command: RedisCommand)]) async throws(AerieError) -> [RESPValue] {
        var replies = [RESPValue](repeating: .null, count: commands.count)
        var left = Array(commands.indices)
        let deadline = deadline()
        var failures = 0
        while !left.isEmpty {
            let problem: AerieError
            do throws(AerieError) {
                left = try await round(commands, left, &replies)
                if left.isEmpty { break }
                let words = isCluster ? nil : replies[left[0]].error
                problem = AerieError(
                    .unavailable,
                    words.map { "Redis at \(seeds[0]) refuses: \($0)" }
                        ?? "the Redis cluster is moving slots or electing a master")
            } catch {
                guard error.reason == "redis.unreachable" else { throw error }
                problem = error
            }
            state.withLock { $0.slots = [] }
            guard goesOn(until: deadline) else { throw problem }
            failures += 1
            do { try await Task.sleep(for: Self.backoff.pause(afterFailures: failures)) } catch {
                throw AerieError(.cancelled, "cancelled")
            }
        }
        return replies
    }

    /// Sends to the only server commands that are written already, and gives back the bytes of their replies.
    /// - Throws: `unavailable` if it cannot be reached; some of the commands may have been carried out.
    func exchange(_ bytes: ByteBuffer, replies: Int) async throws(AerieError) -> ByteBuffer {
        let deadline = deadline()
        var failures = 0
        while true {
            do throws(AerieError) {
                return try await connection(to: seeds[0]).exchange(bytes, replies: replies)
            } catch {
                guard error.reason == "redis.unreachable", goesOn(until: deadline) else { throw error }
            }
            failures += 1
            do { try await Task.sleep(for: Self.backoff.pause(afterFailures: failures)) } catch {
                throw AerieError(.cancelled, "cancelled")
            }
        }
    }

    /// The masters, or the only server.
    func masters() async throws(AerieError) -> [RedisAddress] {
        guard isCluster else { return seeds }
        return Array(Set(try await slots().compactMap { $0 })).sorted { "\($0)" < "\($1)" }
    }

    func send(_ command: RedisCommand, to address: RedisAddress) async throws(AerieError) -> RESPValue {
        try await connection(to: address).send([command])[0]
    }

    // MARK: Inside

    /// Until when a command that begins now is tried.
    private func deadline() -> ContinuousClock.Instant {
        let now = ContinuousClock.now
        return state.withLock { $0.isAway.map { now < $0 } ?? false } ? now : now + patience
    }

    /// Whether a command that has failed is tried again; if not, those that follow know.
    private func goesOn(until deadline: ContinuousClock.Instant) -> Bool {
        let now = ContinuousClock.now
        if now < deadline { return true }
        state.withLock { $0.isAway = now + patience }
        return false
    }

    /// One try of the commands that are left.
    /// - Returns: those that must be tried again.
    private func round(
        _ commands: [(key: [UInt8], command: RedisCommand)], _ left: [Int], _ replies: inout [RESPValue]
    ) async throws(AerieError) -> [Int] {
        let slots = isCluster ? try await slots() : []
        var groups: [RedisAddress: [Int]] = [:]
        var again: [Int] = []
        for index in left {
            let address = isCluster ? slots[Int(Self.slot(commands[index].key))] : seeds[0]
            if let address { groups[address, default: []].append(index) } else { again.append(index) }
        }
        let parts = groups.map { (address: $0.key, indices: $0.value) }
        let results = await withTaskGroup(of: (Int, Result<[RESPValue], AerieError>).self) { group in
            for (number, part) in parts.enumerated() {
                group.addTask {
                    do throws(AerieError) {
                        let connection = try await self.connection(to: part.address)
                        return (number, .success(try await connection.send(part.indices.map { commands[$0].command })))
                    } catch { return (number, .failure(error)) }
                }
            }
            return await group.reduce(into: [Int: Result<[RESPValue], AerieError>]()) { $0[$1.0] = $1.1 }
        }
        for (number, part) in parts.enumerated() {
            switch results[number] {
            case .success(let answers)?:
                for (index, answer) in zip(part.indices, answers) {
                    if let redirect = Self.redirect(answer) {
                        replies[index] = answer
                        if let asked = try await follow(redirect, commands[index].command, from: part.address) {
                            replies[index] = asked
                        } else {
                            again.append(index)
                        }
                    } else {
                        replies[index] = answer
                    }
                }
            case .failure(let error)?:
                guard isCluster else { throw error }
                again += part.indices
            case nil: again += part.indices
            }
        }
        return again
    }

    private enum Redirect {
        case moved
        case ask(host: String, port: Int)
    }

    /// What a node says that does not have the key, or not now.
    private static func redirect(_ reply: RESPValue) -> Redirect? {
        guard let words = reply.error else { return nil }
        let parts = words.split(separator: " ")
        switch parts.first {
        case "MOVED", "CLUSTERDOWN", "TRYAGAIN", "LOADING", "READONLY", "MASTERDOWN": return .moved
        case "ASK":
            guard parts.count == 3, let colon = parts[2].lastIndex(of: ":"),
                let port = Int(parts[2][parts[2].index(after: colon)...])
            else { return .moved }
            return .ask(host: String(parts[2][..<colon]), port: port)
        default: return nil
        }
    }

    /// A key that is on its way to another node is asked for there, once.
    private func follow(
        _ redirect: Redirect, _ command: RedisCommand, from address: RedisAddress
    ) async throws(AerieError) -> RESPValue? {
        guard case .ask(let host, let port) = redirect else { return nil }
        var target = seeds[0]
        (target.host, target.port) = (host.isEmpty ? address.host : host, port)
        let reply = try await connection(to: target).send([RedisCommand("ASKING"), command])[1]
        return Self.redirect(reply) == nil ? reply : nil
    }

    private func connection(to address: RedisAddress) async throws(AerieError) -> RedisConnection {
        if let open = state.withLock({ $0.connections[address] }), open.isOpen { return open }
        let new = try await RedisConnection.open(address, timeout: timeout)
        // Another may have connected meanwhile; its connection is as good, and this one is not needed.
        let kept = state.withLock { state -> RedisConnection in
            if let other = state.connections[address], other.isOpen { return other }
            state.connections[address] = new
            return new
        }
        if kept !== new { new.close() }
        return kept
    }

    /// For each slot its master, as learnt last.
    /// - Throws: `unavailable` if no node tells.
    func slots() async throws(AerieError) -> [RedisAddress?] {
        let (known, nodes) = state.withLock { ($0.slots, $0.nodes) }
        if !known.isEmpty { return known }
        var problem = AerieError(.unavailable, "no node of the Redis cluster answers", reason: "redis.unreachable")
        for node in nodes {
            do throws(AerieError) {
                let reply = try await connection(to: node).send([RedisCommand("CLUSTER", "SLOTS")])[0]
                if let words = reply.error {
                    throw AerieError(.unavailable, "Redis at \(node) is no node of a cluster: \(words)")
                }
                let slots = read(reply, from: node)
                guard slots.contains(where: { $0 != nil }) else { continue }
                let seeds = seeds
                state.withLock { state in
                    state.slots = slots
                    state.nodes = Array(Set(slots.compactMap { $0 })) + seeds
                }
                return slots
            } catch { problem = error }
        }
        throw problem
    }

    /// Ranges of slots, each with its master first.
    private func read(_ reply: RESPValue, from node: RedisAddress) -> [RedisAddress?] {
        var slots = [RedisAddress?](repeating: nil, count: 16_384)
        for range in reply.array ?? [] {
            guard let parts = range.array, parts.count >= 3, let first = parts[0].integer, let last = parts[1].integer,
                let master = parts[2].array, master.count >= 2, let port = master[1].integer, first >= 0, last < 16_384,
                first <= last
            else { continue }
            var address = seeds[0]
            let host = master[0].text ?? ""
            (address.host, address.port) = (host.isEmpty ? node.host : host, Int(port))
            for slot in first...last { slots[Int(slot)] = address }
        }
        return slots
    }

    /// The slot of a key: CRC-16/XMODEM of what stands in its first braces, or of the whole (Redis cluster
    /// specification).
    static func slot(_ key: [UInt8]) -> UInt16 {
        var part = key[...]
        if let open = key.firstIndex(of: UInt8(ascii: "{")),
            let close = key[(open + 1)...].firstIndex(of: UInt8(ascii: "}")), close > open + 1
        {
            part = key[(open + 1)..<close]
        }
        var crc: UInt16 = 0
        for byte in part { crc = crc << 8 ^ remainders[Int(crc >> 8 ^ UInt16(byte))] }
        return crc & 16_383
    }

    /// For each byte what it leaves of the polynomial.
    private static let remainders: [UInt16] = (0..<256).map { byte in
        var crc = UInt16(byte) << 8
        for _ in 0..<8 { crc = crc & 0x8000 != 0 ? crc << 1 ^ 0x1021 : crc << 1 }
        return crc
    }
}
