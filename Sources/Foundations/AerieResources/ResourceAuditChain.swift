public import AerieCore
import AerieJSON
import Crypto

/// The audit trail as a chain: each entry holds the SHA-256 of itself and the hash of the one before, so that a changed
/// or removed entry breaks the chain behind it. How it is computed is part of the format of what is stored.
public struct ResourceAuditChain {
    /// What stands before the first entry.
    public static let start = String(repeating: "0", count: 64)

    private var previous = start
    private var count: Int64 = 0

    public init() {}

    /// How many entries were checked.
    public var entries: Int { Int(count) }

    /// The next entry, in their order.
    /// - Throws: `dataLoss` naming the entry that was changed, or before which one is missing. Entries cut off at the
    ///   end cannot be noticed from inside: keep the last hash elsewhere for that.
    public mutating func check(_ entry: ResourceAuditEntry, body: String, hash: String) throws(AerieError) {
        count += 1
        guard entry.sequence == count, hash == Self.hash(entry, body: body, previous: previous) else {
            throw AerieError(
                .dataLoss, "the audit trail is broken at entry \(count): it was changed, or one before it removed",
                reason: "audit.broken")
        }
        previous = hash
    }

    /// Over the fields as a JSON list, so that no text can be moved from one field into the next.
    public static func hash(_ entry: ResourceAuditEntry, body: String, previous: String) -> String {
        let fields: JSONValue = [
            .string(previous), .int(entry.sequence), .int(entry.time.milliseconds), .string(entry.actor),
            .string(entry.action), .string(entry.key.kind), .string(entry.key.namespace), .string(entry.key.name),
            .int(entry.generation), .string(body),
        ]
        return Hexadecimal.encode(SHA256.hash(data: Array(fields.text().utf8)))
    }
}
