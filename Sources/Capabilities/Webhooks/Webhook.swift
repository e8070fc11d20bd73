public import AerieCore

public struct WebhookID: Identifier {
    public let text: String
    public init(_ text: String) { self.text = text }
}

/// Someone outside who is told of what happens in the registry.
public struct Webhook: Hashable, Sendable {
    public enum Status: String, Hashable, Sendable, CaseIterable {
        case active = "ACTIVE"
        case disabled = "DISABLED"
    }

    public var id: WebhookID
    public var name: String
    public var description: String
    /// Where events are sent; checked by `WebhookLimits`.
    public var url: String
    public var events: Set<WebhookEvent>
    public var status: Status
    public var creationTime: Timestamp
    public var lastUpdateTime: Timestamp
    /// Whether deliveries are signed. The secret itself is never given back.
    public var hasSecret: Bool

    public init(
        id: WebhookID, name: String, description: String = "", url: String, events: Set<WebhookEvent>,
        status: Status = .active, creationTime: Timestamp, lastUpdateTime: Timestamp, hasSecret: Bool = false
    ) {
        self.id = id
        self.name = name
        self.description = description
        self.url = url
        self.events = events
        self.status = status
        self.creationTime = creationTime
        self.lastUpdateTime = lastUpdateTime
        self.hasSecret = hasSecret
    }
}

/// What to change of a webhook; `nil` leaves it as it is.
public struct WebhookChange: Sendable {
    public var name: String?
    public var description: String?
    public var url: String?
    public var events: Set<WebhookEvent>?
    public var status: Webhook.Status?
    /// As it was given; empty takes the secret away.
    public var secret: String?

    public init(
        name: String? = nil, description: String? = nil, url: String? = nil, events: Set<WebhookEvent>? = nil,
        status: Webhook.Status? = nil, secret: String? = nil
    ) {
        self.name = name
        self.description = description
        self.url = url
        self.events = events
        self.status = status
        self.secret = secret
    }
}

/// Which webhooks can be made.
enum WebhookLimits {
    static let webhooks = 1000

    static func check(_ change: WebhookChange) throws(AerieError) {
        if let name = change.name { try checkName(name) }
        if let url = change.url { try checkURL(url) }
        if let events = change.events { try checkEvents(events) }
        if let text = change.description, text.utf8.count > 1000 {
            throw .invalid("description", "is longer than 1000 bytes")
        }
        if let secret = change.secret, secret.utf8.count > 1000 {
            throw .invalid("secret", "is longer than 1000 bytes")
        }
    }

    /// The characters that MLflow's own server allows.
    static func checkName(_ name: String) throws(AerieError) {
        func isPlain(_ byte: UInt8) -> Bool {
            (byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39)
        }
        let bytes = Array(name.utf8)
        guard let first = bytes.first, let last = bytes.last, bytes.count <= 63, isPlain(first), isPlain(last),
            bytes.allSatisfy({ isPlain($0) || $0 == 0x2e || $0 == 0x5f || $0 == 0x2d })
        else {
            throw .invalid(
                "name",
                "Webhook name '\(name.prefix(80))' is invalid: 1 to 63 lowercase letters, digits, '.', '_' "
                    + "and '-', with a letter or digit at both ends")
        }
    }

    static func checkEvents(_ events: Set<WebhookEvent>) throws(AerieError) {
        guard events.contains(where: \.isMLflow) else {
            throw .invalid(
                "events", "Webhook events must not be empty: name at least one event that MLflow's client knows")
        }
    }

    /// An absolute `http` or `https` address of printable ASCII, with a host and without a user or password.
    ///
    /// Addresses that name a link-local host outright are refused: cloud machines keep credentials there. Nothing is
    /// resolved, so that a name behind which such an address hides is not found out; a network rule has to see to it.
    static func checkURL(_ url: String) throws(AerieError) {
        func invalid(_ why: String) -> AerieError { .invalid("url", "Invalid webhook URL: \(why)") }
        guard url.utf8.count <= 500 else { throw invalid("it is longer than 500 bytes") }
        guard url.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "\\") }) else {
            throw invalid("it may hold only printable ASCII without spaces; percent-encode the rest")
        }
        let parts = url.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, ["http", "https"].contains(parts[0].lowercased()), parts[1].hasPrefix("//") else {
            throw invalid("it must begin with http:// or https://")
        }
        let authority = parts[1].dropFirst(2).prefix { !"/?#".contains($0) }
        guard !authority.contains("@") else { throw invalid("a user or password in it would be shown; use a secret") }
        let host: Substring
        let port: Substring
        if authority.hasPrefix("[") {
            guard let end = authority.firstIndex(of: "]") else { throw invalid("the host's ']' is missing") }
            host = authority[authority.index(after: authority.startIndex)..<end]
            port = authority[authority.index(after: end)...]
        } else {
            host = authority.prefix { $0 != ":" }
            port = authority.dropFirst(host.count)
        }
        guard !host.isEmpty else { throw invalid("it must include a hostname") }
        guard host.allSatisfy({ $0.isLetter || $0.isNumber || ".-_:".contains($0) }) else {
            throw invalid("'\(host)' is no hostname")
        }
        if !port.isEmpty {
            guard port.hasPrefix(":"), let number = Int(port.dropFirst()), (1...65535).contains(number) else {
                throw invalid("the port must be from 1 to 65535")
            }
        }
        let name = host.lowercased()
        guard !name.hasPrefix("169.254."), !(name.contains(":") && name.hasPrefix("fe80")) else {
            throw invalid("link-local addresses are not sent to")
        }
    }
}
