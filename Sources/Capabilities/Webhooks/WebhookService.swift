public import AerieCore
public import Experiments
public import Registry

/// What a test of a webhook showed.
public struct WebhookTest: Hashable, Sendable {
    public var isSuccess: Bool
    public var response: WebhookResponse?
    public var problem: String
}

/// Webhooks: who is told, and the queue of what they are told.
///
/// It observes the registry: an event is queued durably before its cause is acknowledged, and sent by
/// `WebhookDispatcher`. May be called from any task.
public struct WebhookService: RegistryObserver {
    let store: any WebhookStore
    let sender: any WebhookSender
    let secrets: WebhookSecrets
    let clock: any WallClock
    private let identifiers: IdentifierSource
    private let wake: @Sendable () -> Void

    /// - Parameter wake: told when there is something new to deliver.
    public init(
        store: any WebhookStore, sender: any WebhookSender, secrets: WebhookSecrets,
        clock: any WallClock = SystemClock(), identifiers: IdentifierSource = .system,
        wake: @escaping @Sendable () -> Void
    ) {
        self.store = store
        self.sender = sender
        self.secrets = secrets
        self.clock = clock
        self.identifiers = identifiers
        self.wake = wake
    }

    public func registryChanged(_ events: [RegistryEvent]) async throws(AerieError) {
        let queued: Int
        do throws(AerieError) {
            queued = try await store.enqueue(events.map { WebhookPayload.make($0) }, at: clock.now())
        } catch {
            throw AerieError(
                error.code, "the change was made, but webhooks could not be told of it: \(error.message)",
                reason: "webhooks.queue", cause: error)
        }
        if queued > 0 { wake() }
    }

    /// - Throws: `invalidArgument` naming the field, `resourceExhausted` above 1000 webhooks.
    public func create(_ draft: WebhookChange) async throws(AerieError) -> Webhook {
        try WebhookLimits.check(draft)
        guard let name = draft.name, let url = draft.url, let events = draft.events else {
            throw .invalid("webhook", "name, url and events are required")
        }
        let now = clock.now()
        let id = WebhookID(identifiers.uuid())
        let secret = draft.secret ?? ""
        let webhook = Webhook(
            id: id, name: name, description: draft.description ?? "", url: url, events: events,
            status: draft.status ?? .active, creationTime: now, lastUpdateTime: now, hasSecret: !secret.isEmpty)
        let sealed = secret.isEmpty ? nil : try secrets.seal(secret, for: id)
        try await store.create(webhook, sealedSecret: sealed, limit: WebhookLimits.webhooks)
        return webhook
    }

    public func get(_ id: WebhookID) async throws(AerieError) -> Webhook {
        guard let found = try await store.get(id) else { throw Self.missing(id) }
        return found
    }

    static func missing(_ id: WebhookID) -> AerieError { .notFound("Webhook with ID \(id) not found.") }

    /// A page, newest first, with the token of the next.
    public func list(
        limit: Int = 100, pageToken: String? = nil
    ) async throws(AerieError) -> (webhooks: [Webhook], next: String?) {
        let offset = try Self.offset(limit, pageToken)
        let found = try await store.list(offset: offset, limit: limit + 1)
        return (Array(found.prefix(limit)), found.count > limit ? "\(offset + limit)" : nil)
    }

    /// Pending deliveries stay; they go to the new address, and wait while the webhook is disabled.
    public func update(_ id: WebhookID, _ change: WebhookChange) async throws(AerieError) -> Webhook {
        try WebhookLimits.check(change)
        var sealed: [UInt8]??
        if let secret = change.secret { sealed = .some(secret.isEmpty ? nil : try secrets.seal(secret, for: id)) }
        let webhook = try await store.update(id, change, sealedSecret: sealed, at: clock.now())
        wake()
        return webhook
    }

    public func delete(_ id: WebhookID) async throws(AerieError) { try await store.delete(id) }

    /// Deliveries of a webhook, newest first, with the token of the next page. Those that ended are kept for a week.
    public func deliveries(
        to id: WebhookID, limit: Int = 100, pageToken: String? = nil
    ) async throws(AerieError) -> (deliveries: [WebhookDelivery], next: String?) {
        _ = try await get(id)
        let offset = try Self.offset(limit, pageToken)
        let found = try await store.deliveries(to: id, offset: offset, limit: limit + 1)
        return (Array(found.prefix(limit)), found.count > limit ? "\(offset + limit)" : nil)
    }

    /// Sends an example once, also to a disabled webhook, and tells what came back. Waits for the answer.
    public func test(_ id: WebhookID, event: WebhookEvent? = nil) async throws(AerieError) -> WebhookTest {
        let webhook = try await get(id)
        let first = WebhookEvent.allCases.first { webhook.events.contains($0) }
        let event = event ?? first ?? .modelCreated
        let claimed = ClaimedDelivery(
            id: identifiers.uuid(), webhookID: id, url: webhook.url, sealedSecret: try await store.sealedSecret(id),
            event: event, payload: WebhookPayload.example(event, at: clock.now()), attempts: 0)
        do throws(AerieError) {
            let response = try await send(claimed)
            return WebhookTest(isSuccess: (200..<300).contains(response.status), response: response, problem: "")
        } catch {
            return WebhookTest(isSuccess: false, response: nil, problem: error.message)
        }
    }

    func send(_ delivery: ClaimedDelivery) async throws(AerieError) -> WebhookResponse {
        let timestamp = "\(clock.now().milliseconds / 1000)"
        var headers: [(name: String, value: String)] = [
            ("Content-Type", "application/json"), ("User-Agent", "aerie-webhooks"),
            ("X-MLflow-Delivery-Id", delivery.id), ("X-MLflow-Timestamp", timestamp),
        ]
        if let sealed = delivery.sealedSecret {
            let secret = try secrets.open(sealed, for: delivery.webhookID)
            headers.append(
                (
                    "X-MLflow-Signature",
                    WebhookSecrets.signature(
                        secret: secret, delivery: delivery.id, timestamp: timestamp, body: delivery.payload)
                ))
        }
        return try await sender.send(WebhookRequest(url: delivery.url, headers: headers, body: delivery.payload))
    }

    private static func offset(_ limit: Int, _ token: String?) throws(AerieError) -> Int {
        guard (1...1000).contains(limit) else { throw .invalid("max_results", "must be between 1 and 1000.") }
        guard let token, !token.isEmpty else { return 0 }
        guard let offset = Int(token), (0...1_000_000_000).contains(offset) else {
            throw .invalid("page_token", "'\(token.prefix(40))' is none that was given out")
        }
        return offset
    }
}
