import AerieCore
import Testing
import Webhooks

/// What every `WebhookStore` must keep of its contract.
enum WebhookConformance {
    private static func at(_ milliseconds: Int64) -> Timestamp { Timestamp(milliseconds: milliseconds) }

    private static func webhook(
        _ id: WebhookID, created: Int64 = 1, events: Set<WebhookEvent> = [.modelCreated]
    ) -> Webhook {
        Webhook(
            id: id, name: "n-\(id)", description: "d", url: "http://127.0.0.1/\(id)", events: events,
            creationTime: at(created), lastUpdateTime: at(created))
    }

    private static func add(_ store: any WebhookStore, _ webhook: Webhook, secret: [UInt8]? = nil) async throws {
        try await store.create(webhook, sealedSecret: secret, limit: 10)
    }

    private static func claim(
        _ store: any WebhookStore, limit: Int = 100, perWebhook: Int = 100, skipping: Set<WebhookID> = [],
        now: Int64, until: Int64
    ) async throws -> [ClaimedDelivery] {
        try await store.claim(
            limit: limit, perWebhook: perWebhook, skipping: skipping, now: at(now), until: at(until))
    }

    private static func code(_ body: () async throws -> Void) async -> AerieError.Code? {
        await TrackingConformance.code(body)
    }

    static let all = keeping + queueing

    private static let keeping: [PlatformConformance] = [
        .init("a webhook comes back as it was made, and its secret only where it is asked for") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a", events: [.modelCreated, .versionAliasCreated]), secret: [0, 255, 39, 92])
            try await add(store, webhook("b"))
            var expected = webhook("a", events: [.modelCreated, .versionAliasCreated])
            expected.hasSecret = true
            #expect(try await store.get("a") == expected)
            #expect(try await store.get("b") == webhook("b"))
            #expect(try await store.get("c") == nil)
            #expect(try await store.sealedSecret("a") == [0, 255, 39, 92])
            #expect(try await store.sealedSecret("b") == nil)
            #expect(await code { _ = try await store.sealedSecret("c") } == .notFound)
        },
        .init("lists are newest first, by identifier within one time, page by page") { stores in
            let store = stores.webhooks
            for (id, time) in [("b", 5), ("a", 5), ("c", 9), ("d", 1)] as [(WebhookID, Int64)] {
                try await add(store, webhook(id, created: time))
            }
            #expect(try await store.list(offset: 0, limit: 10).map(\.id) == ["c", "a", "b", "d"])
            #expect(try await store.list(offset: 1, limit: 2).map(\.id) == ["a", "b"])
        },
        .init("there are no more than the limit, also if many come at once") { stores in
            let store = stores.webhooks
            let made = await withTaskGroup(of: Bool.self) { group in
                for number in 0..<20 {
                    group.addTask {
                        (try? await store.create(webhook(WebhookID("w\(number)")), sealedSecret: nil, limit: 5)) != nil
                    }
                }
                return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(made == 5)
            #expect(
                await code { try await store.create(webhook("x"), sealedSecret: nil, limit: 5) } == .resourceExhausted)
        },
        .init("an update changes what it names, and the secret only if it says so") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"), secret: [1])
            let renamed = try await store.update("a", WebhookChange(name: "new"), sealedSecret: nil, at: at(7))
            #expect(renamed.name == "new" && renamed.url == webhook("a").url && renamed.lastUpdateTime == at(7))
            #expect(renamed.hasSecret && renamed.events == [.modelCreated] && renamed.creationTime == at(1))
            let change = WebhookChange(events: [.versionAliasDeleted], status: .disabled)
            let changed = try await store.update("a", change, sealedSecret: .some([2]), at: at(8))
            #expect(changed.events == [.versionAliasDeleted] && changed.status == .disabled)
            #expect(try await store.sealedSecret("a") == [2])
            let open = try await store.update("a", WebhookChange(), sealedSecret: .some(nil), at: at(9))
            #expect(!open.hasSecret)
            #expect(
                await code { _ = try await store.update("b", WebhookChange(), sealedSecret: nil, at: at(1)) }
                    == .notFound)
        },
        .init("a webhook goes with what waits for it") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"), secret: [1])
            #expect(try await store.enqueue([(.modelCreated, payload: "{}")], at: at(1)) == 1)
            let claimed = try await claim(store, now: 1, until: 50)
            try await store.delete("a")
            #expect(try await store.nextDue(skipping: []) == nil)
            try await store.finish(claimed[0].id, DeliveryOutcome(state: .delivered), at: at(2))
            #expect(await code { try await store.delete("a") } == .notFound)
            #expect(await code { _ = try await store.deliveries(to: "a", offset: 0, limit: 1) } == .notFound)
        },
    ]

    private static let queueing: [PlatformConformance] = [
        .init("an event is queued for the active webhooks that ask for it, in the order given") { stores in
            let store = stores.webhooks
            #expect(try await store.enqueue([(.modelCreated, payload: "x")], at: at(1)) == 0)
            try await add(store, webhook("a", events: [.modelCreated, .versionAliasCreated]), secret: [9])
            try await add(store, webhook("b", events: [.versionAliasCreated]))
            try await add(store, webhook("off"))
            _ = try await store.update("off", WebhookChange(status: .disabled), sealedSecret: nil, at: at(1))
            let events: [(WebhookEvent, payload: String)] = [
                (.modelCreated, "1"), (.versionAliasCreated, "2"), (.versionCreated, "3"),
            ]
            #expect(try await store.enqueue(events, at: at(5)) == 3)
            let claimed = try await claim(store, now: 5, until: 20)
            #expect(claimed.map(\.payload) == ["1", "2", "2"] && claimed.map(\.webhookID) == ["a", "a", "b"])
            #expect(claimed[0].sealedSecret == [9] && claimed[2].sealedSecret == nil)
            #expect(claimed.map(\.attempts) == [0, 0, 0] && claimed[0].url == webhook("a").url)
            let seen = try await store.deliveries(to: "a", offset: 0, limit: 9)
            #expect(seen.map(\.event) == [.versionAliasCreated, .modelCreated] && seen[0].state == .pending)
            #expect(try await store.deliveries(to: "a", offset: 1, limit: 9).map(\.event) == [.modelCreated])
        },
        .init("what is taken on comes again when its time is over, and not before") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"))
            _ = try await store.enqueue([(.modelCreated, payload: "x")], at: at(5))
            #expect(try await claim(store, now: 4, until: 20).isEmpty)
            #expect(try await store.nextDue(skipping: []) == at(5))
            #expect(try await claim(store, now: 5, until: 20).count == 1)
            #expect(try await claim(store, now: 19, until: 40).isEmpty)
            #expect(try await claim(store, now: 20, until: 40).count == 1)
        },
        .init("a claim keeps to its limits and passes over those that are busy or disabled") { stores in
            let store = stores.webhooks
            for id in ["a", "b", "c"] as [WebhookID] { try await add(store, webhook(id)) }
            for number in 0..<4 { _ = try await store.enqueue([(.modelCreated, payload: "\(number)")], at: at(1)) }
            let first = try await claim(store, limit: 3, perWebhook: 2, skipping: ["b"], now: 1, until: 99)
            #expect(first.count == 3 && !first.contains { $0.webhookID == "b" })
            #expect(first.map(\.payload) == ["0", "0", "1"])
            _ = try await store.update("c", WebhookChange(status: .disabled), sealedSecret: nil, at: at(2))
            #expect(try await claim(store, skipping: ["a"], now: 1, until: 99).map(\.webhookID) == ["b", "b", "b", "b"])
            #expect(try await store.nextDue(skipping: ["a", "b"]) == nil)
        },
        .init("an attempt is counted with how it ended; what failed for now comes again") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"))
            _ = try await store.enqueue([(.modelCreated, payload: "x")], at: at(1))
            let id = try #require(try await claim(store, now: 1, until: 9).first?.id)
            let again = DeliveryOutcome(
                state: .pending, nextAttemptTime: at(30), responseStatus: 503, problem: "the receiver answered 503")
            try await store.finish(id, again, at: at(3))
            #expect(try await store.nextDue(skipping: []) == at(30))
            let waiting = try #require(try await store.deliveries(to: "a", offset: 0, limit: 1).first)
            #expect(waiting.attempts == 1 && waiting.responseStatus == 503 && waiting.lastAttemptTime == at(3))
            #expect(waiting.problem == "the receiver answered 503" && waiting.nextAttemptTime == at(30))
            #expect(try await claim(store, now: 30, until: 99).map(\.attempts) == [1])
            try await store.finish(id, DeliveryOutcome(state: .delivered, responseStatus: 200), at: at(31))
            let ended = try #require(try await store.deliveries(to: "a", offset: 0, limit: 1).first)
            #expect(ended.state == .delivered && ended.attempts == 2 && ended.nextAttemptTime == nil)
            #expect(ended.problem.isEmpty)
            #expect(try await claim(store, now: 1000, until: 2000).isEmpty)
        },
        .init("of many that claim at once, each delivery goes to one") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"))
            let events = (0..<40).map { (WebhookEvent.modelCreated, payload: "\($0)") }
            #expect(try await store.enqueue(events, at: at(1)) == 40)
            let taken = try await withThrowingTaskGroup(of: [String].self) { group in
                for _ in 0..<8 {
                    group.addTask { try await claim(store, limit: 5, now: 1, until: 99).map(\.payload) }
                }
                return try await group.reduce(into: [String]()) { $0 += $1 }
            }
            let rest = try await claim(store, now: 1, until: 99).map(\.payload)
            #expect((taken + rest).count == 40 && Set(taken + rest).count == 40)
        },
        .init("ended deliveries are removed once they are old; those that wait stay") { stores in
            let store = stores.webhooks
            try await add(store, webhook("a"))
            let events = (0..<3).map { (WebhookEvent.modelCreated, payload: "\($0)") }
            _ = try await store.enqueue(events, at: at(1))
            let claimed = try await claim(store, limit: 2, now: 1, until: 9)
            try await store.finish(claimed[0].id, DeliveryOutcome(state: .failed, problem: "no"), at: at(3))
            try await store.finish(claimed[1].id, DeliveryOutcome(state: .delivered), at: at(5))
            #expect(try await store.trim(before: at(5)) == 1)
            #expect(try await store.deliveries(to: "a", offset: 0, limit: 9).map(\.state) == [.pending, .delivered])
        },
    ]
}
