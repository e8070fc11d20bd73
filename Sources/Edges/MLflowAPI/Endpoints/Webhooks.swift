import AerieCore
import AerieJSON
import HTTPTypes
import Webhooks

// MLflow's client fails on an event that it does not know, so Aerie's own go in a field of their own,
// `aerie_events`, as `["model_version_stage.transitioned"]`.
extension Endpoint {
    static let webhooks: [Endpoint] = [
        Endpoint(.post, "/mlflow/webhooks") { routes, call throws(AerieError) in
            var draft = try call.fields.webhookChange()
            guard draft.name != nil else { throw call.fields.missing("name") }
            guard draft.url != nil else { throw call.fields.missing("url") }
            let own = try call.fields.ownEvents()
            draft.events = Set(try call.fields.webhookEvents()).union(own)
            return ["webhook": try await routes.requireWebhooks().create(draft).mlflow]
        },
        Endpoint(.get, "/mlflow/webhooks") { routes, call throws(AerieError) in
            let limit = try call.fields.limit(otherwise: 100)
            let page = try await routes.requireWebhooks().list(
                limit: limit == 0 ? 100 : limit, pageToken: try call.fields.string("page_token"))
            var body = JSONObject()
            body.add("webhooks", page.webhooks.map(\.mlflow))
            body.add("next_page_token", page.next)
            return body
        },
        Endpoint(.get, "/mlflow/webhooks/:webhook_id") { routes, call throws(AerieError) in
            ["webhook": try await routes.requireWebhooks().get(try call.fields.webhookID()).mlflow]
        },
        Endpoint(.patch, "/mlflow/webhooks/:webhook_id") { routes, call throws(AerieError) in
            let service = try routes.requireWebhooks()
            let id = try call.fields.webhookID()
            var change = try call.fields.webhookChange()
            let named = try call.fields.webhookEvents()
            let own = try call.fields.ownEvents()
            if !named.isEmpty || !own.isEmpty {
                // Each field replaces its own kind of events and leaves the other.
                let old = try await service.get(id).events
                change.events = Set(named.isEmpty ? old.filter(\.isMLflow) : Set(named))
                    .union(own.isEmpty ? old.filter { !$0.isMLflow } : Set(own))
            }
            return ["webhook": try await service.update(id, change).mlflow]
        },
        Endpoint(.delete, "/mlflow/webhooks/:webhook_id") { routes, call throws(AerieError) in
            try await routes.requireWebhooks().delete(try call.fields.webhookID())
            return [:]
        },
        Endpoint(.post, "/mlflow/webhooks/:webhook_id/test") { routes, call throws(AerieError) in
            let id = try call.fields.webhookID()
            let event = try call.fields.testedEvent()
            let result = try await routes.requireWebhooks().test(id, event: event)
            var body: JSONObject = ["success": .bool(result.isSuccess)]
            if let response = result.response {
                body["response_status"] = .int(Int64(response.status))
                body["response_body"] = .string(response.body)
            }
            if !result.problem.isEmpty { body["error_message"] = .string(result.problem) }
            return ["result": .object(body)]
        },
        Endpoint(.get, "/mlflow/webhooks/:webhook_id/deliveries") { routes, call throws(AerieError) in
            let page = try await routes.requireWebhooks().deliveries(
                to: try call.fields.webhookID(), limit: try call.fields.limit(otherwise: 100),
                pageToken: try call.fields.string("page_token"))
            var body: JSONObject = ["deliveries": .array(page.deliveries.map(\.json))]
            body.add("next_page_token", page.next)
            return body
        },
    ]
}

extension MLflowRoutes {
    func requireWebhooks() throws(AerieError) -> WebhookService {
        guard let webhooks else { throw AerieError(.unsupported, "webhooks are not served here") }
        return webhooks
    }
}

extension Fields {
    fileprivate func webhookID() throws(AerieError) -> WebhookID { WebhookID(try required("webhook_id")) }

    fileprivate func webhookChange() throws(AerieError) -> WebhookChange {
        WebhookChange(
            name: try string("name").flatMap { $0.isEmpty ? nil : $0 }, description: try string("description"),
            url: try string("url").flatMap { $0.isEmpty ? nil : $0 }, status: try word("status", Webhook.Status.self),
            secret: try string("secret"))
    }

    fileprivate func webhookEvents() throws(AerieError) -> [WebhookEvent] {
        var events: [WebhookEvent] = []
        for fields in try objects("events") { events.append(try fields.webhookEvent()) }
        return events
    }

    /// `{"entity": "MODEL_VERSION", "action": "CREATED"}`
    fileprivate func webhookEvent() throws(AerieError) -> WebhookEvent {
        let name = "\(try required("entity")).\(try required("action"))"
        return try WebhookEvent(parsing: name)
    }

    fileprivate func ownEvents() throws(AerieError) -> [WebhookEvent] {
        var events: [WebhookEvent] = []
        for name in try strings("aerie_events") {
            let event = try WebhookEvent(parsing: name, field: "aerie_events")
            guard !event.isMLflow else { throw .invalid("aerie_events", "'\(name)' belongs into events") }
            events.append(event)
        }
        return events
    }

    fileprivate func testedEvent() throws(AerieError) -> WebhookEvent? {
        if let own = try ownEvents().first { return own }
        guard let event = try? fields("event") else { return nil }
        return try event.webhookEvent()
    }
}

extension Webhook {
    fileprivate var mlflow: JSONValue {
        var object: JSONObject = [
            "webhook_id": .string(id.text), "name": .string(name), "url": .string(url),
            "status": .string(status.rawValue), "creation_timestamp": .int(creationTime.milliseconds),
            "last_updated_timestamp": .int(lastUpdateTime.milliseconds),
        ]
        if !description.isEmpty { object["description"] = .string(description) }
        let known = WebhookEvent.allCases.filter { events.contains($0) }
        object.add(
            "events",
            known.filter(\.isMLflow).map { event -> JSONValue in
                [
                    "entity": .string(event.entity.uppercased()), "action": .string(event.action.uppercased()),
                ]
            })
        object.add("aerie_events", known.filter { !$0.isMLflow }.map { .string($0.rawValue) })
        object["has_secret"] = .bool(hasSecret)
        return .object(object)
    }
}

extension WebhookDelivery {
    fileprivate var json: JSONValue {
        var object: JSONObject = [
            "delivery_id": .string(id), "event": .string(event.rawValue), "state": .string(state.rawValue),
            "attempts": .int(Int64(attempts)), "creation_timestamp": .int(creationTime.milliseconds),
        ]
        object.add("last_attempt_timestamp", lastAttemptTime)
        object.add("next_attempt_timestamp", nextAttemptTime)
        if let responseStatus { object["response_status"] = .int(Int64(responseStatus)) }
        if !problem.isEmpty { object["problem"] = .string(problem) }
        return .object(object)
    }
}
