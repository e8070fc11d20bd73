public import AerieCore
import AerieJSON
public import AerieResources
public import Pipelines

/// `uses: approve`: lets the pipeline go on only if a rule on numbers holds, a person says so, or both.
///
/// `mode: rule | manual | both` (by default `rule` if there is one, else `manual`), `rule: "auc > 0.90 and f1 > 0.85"`,
/// `values: {auc: …}`. A manual approval waits for `aerie approve` or `aerie reject`, without end unless the step has
/// a timeout. Outputs: `approved`, `by`, `comment`.
public struct ApproveStep: Step {
    private let pollInterval: Duration

    public init(pollInterval: Duration = .milliseconds(250)) { self.pollInterval = pollInterval }

    public var name: String { "approve" }
    public var outputs: [String] { ["approved", "by", "comment"] }
    public var placement: StepPlacement { .server }
    public var isCacheable: Bool { false }
    public var parameters: FieldSchema {
        .object([
            Field("mode", .choice(["rule", "manual", "both"])), Field("rule", .string), Field("values", .map(.any)),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let rule = try input.text("rule").map { text throws(AerieError) in try ApprovalRule(text) }
        let mode = try input.text("mode") ?? (rule == nil ? "manual" : "rule")
        guard ["rule", "manual", "both"].contains(mode) else {
            throw input.wrong("mode", "'\(mode)' is not rule, manual or both")
        }
        var by = "rule"
        var comment = ""
        if mode != "manual" {
            guard let rule else {
                throw input.wrong("rule", "is required for mode \(mode), such as \"auc > 0.90 and f1 > 0.85\"")
            }
            let values = try Self.numbers(input)
            let seen = rule.names.map { "\($0) = \(values[$0].map { "\($0)" } ?? "?")" }.joined(separator: ", ")
            guard try rule.evaluate(values) else {
                throw AerieError(
                    .failedPrecondition, "not approved: '\(rule.text)' does not hold (\(seen))", reason: "approval.rule"
                )
            }
            comment = "'\(rule.text)' holds (\(seen))"
            context.log(comment)
        }
        if mode != "rule" {
            let decision = try await wait(context)
            guard decision.isApproved else {
                let why = decision.comment.isEmpty ? "" : ": \(decision.comment)"
                throw AerieError(.failedPrecondition, "rejected by \(decision.by)\(why)", reason: "approval.rejected")
            }
            by = decision.by
            comment = decision.comment
            context.log("approved by \(by)\(comment.isEmpty ? "" : ": \(comment)")")
        }
        return StepResult(values: ["approved": true, "by": .string(by), "comment": .string(comment)])
    }

    private static func numbers(_ input: StepInput) throws(AerieError) -> [String: Double] {
        var values: [String: Double] = [:]
        for member in try input.object("values")?.members ?? [] {
            guard let number = member.value.double else {
                throw .invalid("with.values.\(member.key)", "must be a number, not \(member.value.text())")
            }
            values[member.key] = number
        }
        return values
    }

    private func wait(_ context: StepContext) async throws(AerieError) -> StepDecision {
        guard let services = context.services else {
            throw AerieError(.internal, "an approval runs in the server, and was started without its services")
        }
        context.log("waiting for a decision: aerie approve \(context.runID) \(context.step)")
        context.progress(0, "waiting for a decision")
        while true {
            if let decision = try await services.decision(runID: context.runID, step: context.step) { return decision }
            do { try await Task.sleep(for: pollInterval) } catch {
                throw AerieError(.cancelled, "cancelled while waiting for a decision", cause: error)
            }
        }
    }
}
