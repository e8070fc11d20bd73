import AerieCore
import Experiments
import Registry
import Testing

@testable import Webhooks

@Suite struct RetryScheduleTests {
    @Test("delays double up to the longest, and end")
    func delays() {
        let schedule = RetrySchedule()
        let delays = (1...16).map { schedule.delay(afterAttempts: $0, jitter: 0) }
        #expect(delays[0] == 1000 && delays[1] == 2000 && delays[8] == 256_000)
        #expect(delays[10] == 600_000 && delays[14] == 600_000)
        #expect(delays[15] == nil)
    }

    @Test("jitter takes up to half away")
    func jitter() {
        let schedule = RetrySchedule()
        #expect(schedule.delay(afterAttempts: 3, jitter: 1) == 2000)
        #expect(schedule.delay(afterAttempts: 3, jitter: 0.5) == 3000)
        #expect(schedule.delay(afterAttempts: 3, jitter: 7) == 2000)
    }

    @Test("a receiver that asks for more time gets it, up to a limit, and never less than the schedule's")
    func requested() {
        let schedule = RetrySchedule()
        #expect(schedule.delay(afterAttempts: 1, jitter: 0, requested: 30_000) == 30_000)
        #expect(schedule.delay(afterAttempts: 5, jitter: 0, requested: 1) == 16_000)
        #expect(schedule.delay(afterAttempts: 1, jitter: 0, requested: 1 << 60) == 21_600_000)
        #expect(schedule.delay(afterAttempts: 16, jitter: 0, requested: 1) == nil)
    }

    @Test("only an overloaded or broken receiver is asked again")
    func transient() {
        #expect([500, 503, 408, 425, 429].allSatisfy { RetrySchedule.isTransient(status: $0) })
        #expect(![301, 400, 401, 404, 410].contains { RetrySchedule.isTransient(status: $0) })
    }
}

@Suite struct WebhookSecretsTests {
    @Test("a sealed secret opens with its key and for its webhook alone")
    func seal() throws {
        let secrets = try WebhookSecrets(key: Array(repeating: 7, count: 32))
        let other = try WebhookSecrets(key: Array(repeating: 8, count: 32))
        let sealed = try secrets.seal("hush", for: "a")
        #expect(try secrets.open(sealed, for: "a") == "hush")
        #expect(throws: AerieError.self) { try secrets.open(sealed, for: "b") }
        #expect(throws: AerieError.self) { try other.open(sealed, for: "a") }
        #expect(try secrets.seal("hush", for: "a") != sealed)
        #expect(throws: AerieError.self) { try WebhookSecrets(key: [1, 2, 3]) }
    }

    // Computed with Python's hmac, hashlib and base64.
    @Test("the signature is the one that MLflow documents")
    func signature() {
        let signature = WebhookSecrets.signature(
            secret: "s3cret", delivery: "11111111-2222-3333-4444-555555555555", timestamp: "1700000000",
            body: "{\"entity\":\"prompt\"}")
        #expect(signature == "v1,JnXXMRPmROL+DS+6Ajso/SnLVdybUzTCnEEW7pEoG1E=")
    }
}

@Suite struct WebhookLimitsTests {
    @Test(
        "addresses of receivers are taken",
        arguments: [
            "http://localhost:8080/hook", "https://hooks.example.com/a/b?c=d", "HTTP://10.0.0.7", "http://[::1]:9/x",
        ])
    func goodURL(_ url: String) throws { try WebhookLimits.checkURL(url) }

    @Test(
        "addresses that are none, or lead elsewhere, are refused",
        arguments: [
            "", "ftp://x/", "http:/x", "http://", "http://?x", "http://a b/", "http://x/\n", "http://x/\u{7f}",
            "http://u@x/", "http://x:0/", "http://x:port/", "http://[::1/", "http://[fe80::1]/", "http://169.254.1.1/",
            "http://x\\@y/", "http://é.com/", "http://x%0a/",
        ])
    func badURL(_ url: String) {
        #expect(throws: AerieError.self) { try WebhookLimits.checkURL(url) }
    }
}

@Suite struct WebhookPayloadTests {
    private let time = Timestamp(milliseconds: 1_700_000_000_007)

    @Test("a version of a prompt shows its template and not the tags that make it one")
    func promptVersion() {
        let version = ModelVersion(
            name: "p", version: 2, creationTime: time, lastUpdateTime: time, source: "x", location: "x",
            tags: [
                Tag(key: "mlflow.prompt.text", value: "Hi {{name}}"),
                Tag(key: "mlflow.prompt.is_prompt", value: "true"),
                Tag(key: "tone", value: "warm"),
            ])
        let made = WebhookPayload.make(
            RegistryEvent(model: "p", isPrompt: true, change: .versionCreated(version), time: time))
        #expect(made.0 == .promptVersionCreated)
        #expect(
            made.1 == #"{"entity":"prompt_version","action":"created","timestamp":"2023-11-14T22:13:20.007000+00:00","#
                + #""data":{"name":"p","version":"2","template":"Hi {{name}}","tags":{"tone":"warm"},"description":null}}"#
        )
    }

    @Test("a change of stage says who, from and to")
    func stage() {
        let transition = StageTransition(
            name: "m", version: 3, from: .staging, to: .production, actor: "ann", time: time)
        let made = WebhookPayload.make(
            RegistryEvent(model: "m", isPrompt: false, change: .stageChanged(transition), time: time))
        #expect(made.0 == .stageTransitioned)
        #expect(
            made.1.hasSuffix(
                #""data":{"name":"m","version":"3","from_stage":"Staging","to_stage":"Production","actor":"ann"}}"#))
    }

    @Test("every kind of event has an example", arguments: WebhookEvent.allCases)
    func example(_ event: WebhookEvent) {
        let text = WebhookPayload.example(event, at: time)
        #expect(text.contains("\"entity\":\"\(event.entity)\",\"action\":\"\(event.action)\""))
        #expect(text.contains("\"name\":\"example_"))
    }
}
