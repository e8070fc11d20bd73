public import AerieCore

/// One event on its way to one webhook.
public struct WebhookDelivery: Hashable, Sendable {
    public enum State: String, Hashable, Sendable {
        /// Waits for its first or next attempt.
        case pending
        case delivered
        /// Given up.
        case failed
    }

    /// A UUID, the same at every attempt, by which a receiver tells what it has seen before.
    public var id: String
    public var webhookID: WebhookID
    public var event: WebhookEvent
    public var state: State
    public var attempts: Int
    public var creationTime: Timestamp
    /// When the last attempt ended.
    public var lastAttemptTime: Timestamp?
    /// When the next attempt is due, while it is pending.
    public var nextAttemptTime: Timestamp?
    /// Of the last attempt that was answered.
    public var responseStatus: Int?
    /// What went wrong in the last attempt; empty if nothing did.
    public var problem: String

    public init(
        id: String, webhookID: WebhookID, event: WebhookEvent, state: State, attempts: Int, creationTime: Timestamp,
        lastAttemptTime: Timestamp?, nextAttemptTime: Timestamp?, responseStatus: Int?, problem: String
    ) {
        self.id = id
        self.webhookID = webhookID
        self.event = event
        self.state = state
        self.attempts = attempts
        self.creationTime = creationTime
        self.lastAttemptTime = lastAttemptTime
        self.nextAttemptTime = nextAttemptTime
        self.responseStatus = responseStatus
        self.problem = problem
    }
}

/// A delivery that someone has taken on, with all that sending it needs.
public struct ClaimedDelivery: Sendable {
    public var id: String
    public var webhookID: WebhookID
    public var url: String
    public var sealedSecret: [UInt8]?
    public var event: WebhookEvent
    /// The body, as it is sent.
    public var payload: String
    /// Attempts before this one.
    public var attempts: Int

    public init(
        id: String, webhookID: WebhookID, url: String, sealedSecret: [UInt8]?, event: WebhookEvent, payload: String,
        attempts: Int
    ) {
        self.id = id
        self.webhookID = webhookID
        self.url = url
        self.sealedSecret = sealedSecret
        self.event = event
        self.payload = payload
        self.attempts = attempts
    }
}

/// How an attempt ended.
public struct DeliveryOutcome: Hashable, Sendable {
    public var state: WebhookDelivery.State
    /// When to try again; needed if `state` is pending.
    public var nextAttemptTime: Timestamp?
    public var responseStatus: Int?
    public var problem: String

    public init(
        state: WebhookDelivery.State, nextAttemptTime: Timestamp? = nil, responseStatus: Int? = nil,
        problem: String = ""
    ) {
        self.state = state
        self.nextAttemptTime = nextAttemptTime
        self.responseStatus = responseStatus
        self.problem = problem
    }
}

/// Keeps webhooks and the queue of what is to be delivered to them.
///
/// Contract: each call is atomic and durable when it returns. What does not exist is `notFound`. Secrets come sealed,
/// and are handed out only with a claimed delivery.
public protocol WebhookStore: Sendable {
    /// - Parameter limit: webhooks that there may be in all.
    /// - Throws: `resourceExhausted` if there are as many.
    func create(_ webhook: Webhook, sealedSecret: [UInt8]?, limit: Int) async throws(AerieError)
    func get(_ id: WebhookID) async throws(AerieError) -> Webhook?
    /// Newest first; those of the same time by identifier.
    func list(offset: Int, limit: Int) async throws(AerieError) -> [Webhook]
    /// - Parameter sealedSecret: replaces the secret, with `nil` inside by none; `nil` leaves it. `change.secret` is
    ///   not looked at.
    func update(
        _ id: WebhookID, _ change: WebhookChange, sealedSecret: [UInt8]??, at time: Timestamp
    ) async throws(AerieError) -> Webhook
    /// With its deliveries, also those that wait.
    func delete(_ id: WebhookID) async throws(AerieError)
    /// The secret of a webhook, for a test of it.
    func sealedSecret(_ id: WebhookID) async throws(AerieError) -> [UInt8]?

    /// Queues each event for every active webhook that asks for it, due at once, in the order given.
    /// - Returns: the deliveries queued.
    func enqueue(_ events: [(WebhookEvent, payload: String)], at time: Timestamp) async throws(AerieError) -> Int
    /// Takes on pending deliveries to active webhooks that are due at `now`, those due first first, and puts off their
    /// next attempt to `until`, so that nobody else takes them before, and that they come again if this one dies.
    /// - Parameters:
    ///   - limit: of all; `perWebhook` of one webhook's.
    ///   - busy: webhooks whose deliveries stay.
    func claim(
        limit: Int, perWebhook: Int, skipping busy: Set<WebhookID>, now: Timestamp, until: Timestamp
    ) async throws(AerieError) -> [ClaimedDelivery]
    /// Counts the attempt and says how it ended. A delivery that is gone, with its webhook, is no error.
    func finish(_ id: String, _ outcome: DeliveryOutcome, at time: Timestamp) async throws(AerieError)
    /// When the next pending delivery to an active webhook not in `busy` is due.
    func nextDue(skipping busy: Set<WebhookID>) async throws(AerieError) -> Timestamp?
    /// Deliveries to a webhook, newest first.
    func deliveries(to id: WebhookID, offset: Int, limit: Int) async throws(AerieError) -> [WebhookDelivery]
    /// Removes deliveries that ended before a time, 10,000 at most.
    /// - Returns: those removed.
    func trim(before time: Timestamp) async throws(AerieError) -> Int
}
