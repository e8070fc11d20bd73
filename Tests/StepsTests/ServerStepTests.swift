import AerieCore
import AerieJSON
import Pipelines
import Testing

@testable import Steps

@Suite struct ServerStepTests {
    @Test(
        "A rule is evaluated as it is written",
        arguments: [
            ("auc > 0.90 and f1 > 0.85", true), ("auc > 0.97", false), ("auc >= 0.96 AND NOT f1 < 0.9", true),
            ("f1 > 0.99 or auc > 0.5 and f1 > 0.5", true), ("(f1 > 0.99 or auc > 0.5) and f1 > 0.95", false),
            ("auc != 0.96", false), ("!(auc == 0.96) || 1 < 2", true), ("-1 < auc && auc<=1e0", true),
        ])
    func rules(text: String, holds: Bool) throws {
        #expect(try ApprovalRule(text).evaluate(["auc": 0.96, "f1": 0.92]) == holds)
    }

    @Test(
        "A wrong rule says what was expected and where",
        arguments: [
            ("", "a number or a name at character 1"), ("auc >", "a number or a name at character 6"),
            ("auc", "a comparison (> >= < <= == !=) at character 4"),
            ("auc > 0.9 f1", "'and', 'or' or the end at character 11"), ("(auc > 0.9", "')' at character 11"),
            ("auc > 0.9 and and f1 > 1", "a number or a name at character 15"),
            ("auc => 0.9", "a comparison (> >= < <= == !=) at character 5"),
            ("auc > 1.2.3", "a number or a name at character 7"),
        ])
    func wrongRules(text: String, expected: String) {
        let error = #expect(throws: AerieError.self) { _ = try ApprovalRule(text) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.message.hasSuffix("expected " + expected) == true, "\(error?.message ?? "")")
    }

    @Test("A rule nested without end is refused, not followed") func nesting() {
        #expect(throws: AerieError.self) { _ = try ApprovalRule(String(repeating: "(", count: 1000)) }
        #expect(throws: AerieError.self) { _ = try ApprovalRule(String(repeating: "!", count: 1000)) }
    }

    @Test("A rule names the values that are missing") func missing() throws {
        let rule = try ApprovalRule("auc > 0.9 and f1 > 0.8 and auc < 2")
        #expect(rule.names == ["auc", "f1"])
        let error = #expect(throws: AerieError.self) { try rule.evaluate(["auc": 1]) }
        #expect(error?.message.contains("needs f1") == true)
    }

    @Test("Approving by rule lets good numbers through and tells why bad ones are not") func approveByRule()
        async throws
    {
        let folder = try TemporaryFolder()
        let good: JSONObject = ["rule": "auc > 0.9", "values": ["auc": 0.95]]
        let result = try await ApproveStep().run(folder.context("a", good))
        #expect(result.values["approved"] == true)
        let bad: JSONObject = ["rule": "auc > 0.9", "values": ["auc": 0.85]]
        let error = await #expect(throws: AerieError.self) { try await ApproveStep().run(folder.context("a", bad)) }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.message.contains("auc = 0.85") == true)
    }

    @Test("Approving by hand waits for the decision and names who gave it") func approveByHand() async throws {
        let folder = try TemporaryFolder()
        let yes = StepDecision(isApproved: true, by: "ada", comment: "fine", time: Timestamp(milliseconds: 0))
        let platform = FakePlatform(decisions: [nil, nil, yes])
        let step = ApproveStep(pollInterval: .milliseconds(1))
        let result = try await step.run(folder.context("a", [:], services: platform))
        #expect(result.values["by"] == "ada")
        #expect(platform.asked.count == 3)
        let no = StepDecision(isApproved: false, by: "bob", comment: "too early", time: Timestamp(milliseconds: 0))
        let error = await #expect(throws: AerieError.self) {
            try await step.run(
                folder.context(
                    "a",
                    [
                        "mode": "both", "rule": "1 < 2",
                    ], services: FakePlatform(decisions: [no])))
        }
        #expect(error?.message == "rejected by bob: too early")
    }

    @Test("A waiting approval ends when it is cancelled") func cancelled() async throws {
        let folder = try TemporaryFolder()
        let context = try folder.context("a", [:], services: FakePlatform())
        let task = Task { () -> AerieError? in
            do throws(AerieError) {
                _ = try await ApproveStep(pollInterval: .seconds(60)).run(context)
                return nil
            } catch { return error }
        }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        #expect(await task.value?.code == .cancelled)
    }

    @Test("Registering gives the version its tags and its address") func register() async throws {
        let folder = try TemporaryFolder()
        let platform = FakePlatform()
        let parameters: JSONObject = ["model": "fraud_detector", "description": "d", "tags": ["auc": 0.99]]
        let result = try await RegisterStep().run(folder.context("r", parameters, services: platform))
        #expect(result.values["model_uri"] == "models:/fraud_detector/4")
        #expect(platform.asked == ["register fraud_detector run model 'd' auc=0.99 pipeline=fraud pipeline_run=r1"])
        let error = await #expect(throws: AerieError.self) {
            try await RegisterStep().run(folder.context("r", parameters, services: platform, run: nil))
        }
        #expect(error?.code == .failedPrecondition)
    }

    @Test("Deploying goes through the stages in order, then applies") func deploy() async throws {
        let folder = try TemporaryFolder()
        let platform = FakePlatform()
        let parameters: JSONObject = [
            "model": "m", "version": 4, "timeout": 5,
            "deployment": ["apiVersion": "v1", "kind": "K", "metadata": ["name": "n"], "spec": ["a": 1]],
        ]
        let result = try await DeployStep().run(folder.context("d", parameters, services: platform))
        #expect(result.values["stage"] == "Production")
        #expect(
            platform.asked == [
                "m/4 -> Development", "m/4 -> Staging", "m/4 -> Production alone",
                "apply K/n {\"a\":1} within 5.0 seconds",
            ])
    }

    @Test("A wrong deployment promotes nothing") func wrongDeployment() async throws {
        let folder = try TemporaryFolder()
        let platform = FakePlatform()
        let parameters: JSONObject = ["model": "m", "version": "1", "deployment": ["kind": "K"]]
        await #expect(throws: AerieError.self) {
            try await DeployStep().run(folder.context("d", parameters, services: platform))
        }
        #expect(platform.asked.isEmpty)
    }
}
