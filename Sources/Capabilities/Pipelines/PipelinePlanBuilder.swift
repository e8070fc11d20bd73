import AerieCore
import AerieJSON
import AerieResources

/// Turns a spec into a plan and collects everything that is wrong with it.
struct PipelinePlanBuilder {
    static let maximumSteps = 500

    let name: String
    let catalog: StepCatalog
    var problems: [AerieError.Detail] = []
    private var parameters: [PipelineParameter] = []
    private var stepNames: [String] = []
    private var kinds: [String: String] = [:]

    init(name: String, catalog: StepCatalog) {
        self.name = name
        self.catalog = catalog
    }

    mutating func build(_ spec: JSONObject) -> PipelinePlan {
        var plan = PipelinePlan(
            name: name, description: spec["description"]?.string ?? "", experiment: spec["experiment"]?.string,
            parameters: [], steps: [])
        if !Self.isName(name, limit: 100, allowsDots: true) {
            wrong(
                "metadata.name",
                "'\(name)' is no name: up to 100 letters, digits, '-', '_' and '.', a letter or digit first")
        }
        var shape = SpecShape(acceptsReferences: false)
        shape.check(.object(spec), PipelineKind.specSchema, path: "spec")
        problems += shape.problems
        guard shape.problems.isEmpty, let steps = spec["steps"]?.array else { return plan }
        guard !steps.isEmpty else {
            wrong("spec.steps", "has no step; a pipeline needs at least one")
            return plan
        }
        guard steps.count <= Self.maximumSteps else {
            wrong("spec.steps", "has \(steps.count) steps; the limit is \(Self.maximumSteps)")
            return plan
        }
        readParameters(spec["parameters"]?.object ?? [:])
        plan.parameters = parameters
        if let experiment = plan.experiment { checkExperiment(experiment) }
        readNames(steps)
        for (index, step) in steps.enumerated() {
            if let object = step.object { plan.steps.append(self.step(object, path: "spec.steps[\(index)]")) }
        }
        findCycle(plan.steps)
        return plan
    }

    private mutating func readParameters(_ object: JSONObject) {
        for member in object.members {
            let path = "spec.parameters.\(member.key)"
            guard Self.isName(member.key, limit: 100) else {
                wrong(path, "is no name: letters, digits, '-' and '_', a letter or digit first")
                continue
            }
            if parameters.contains(where: { $0.name == member.key }) { wrong(path, "is written twice") }
            // A wrong parameter stays known, so that references to it are not reported as well.
            let read = PipelineParameter.read(member.key, member.value, path: path, problems: &problems)
            parameters.append(read ?? PipelineParameter(name: member.key, kind: .string, defaultValue: nil))
        }
    }

    private mutating func readNames(_ steps: [JSONValue]) {
        for (index, step) in steps.enumerated() {
            let path = "spec.steps[\(index)].name"
            let name = step["name"]?.string ?? ""
            if !Self.isName(name, limit: 63) {
                wrong(path, "'\(name)' is no name: up to 63 letters, digits, '-' and '_', a letter or digit first")
            } else if stepNames.contains(name) {
                wrong(path, "another step is named '\(name)' too")
            }
            stepNames.append(name)
            kinds[name] = step["uses"]?.string ?? ""
        }
    }

    private mutating func step(_ spec: JSONObject, path: String) -> PlannedStep {
        let name = spec["name"]?.string ?? ""
        let uses = spec["uses"]?.string ?? ""
        let kind = catalog[uses]
        let with = spec["with"]?.object ?? [:]
        if let kind {
            var shape = SpecShape(acceptsReferences: true)
            shape.check(.object(with), kind.parameters, path: "\(path).with")
            problems += shape.problems
        } else {
            wrong("\(path).uses", "'\(uses)' is no kind of step; there are \(catalog.names.joined(separator: ", "))")
        }
        var needs = readNeeds(spec, name: name, path: path)
        let condition = readCondition(spec["when"], path: "\(path).when")
        for reference in condition?.references ?? [] { need(reference, of: name, path: "\(path).when", &needs) }
        var strings: [(String, String)] = []
        JSONValue.object(with).forEachString(path: "\(path).with") { strings.append(($0, $1)) }
        for (text, place) in strings where text.contains("$") {
            do throws(AerieError) {
                for reference in try PipelineTemplate(text).references {
                    need(reference, of: name, path: place, &needs)
                }
            } catch { wrong(place, error.details.first?.problem ?? error.message) }
        }
        let limits = spec["limits"]
        return PlannedStep(
            name: name, uses: uses, needs: stepNames.filter(needs.contains), with: with,
            timeout: duration(spec["timeout"], path: "\(path).timeout"),
            retry: retryPolicy(spec["retries"], path: "\(path).retries"),
            isCached: (spec["cache"]?.bool ?? true) && (kind?.isCacheable ?? false), condition: condition,
            trigger: PlannedStep.Trigger(rawValue: spec["trigger"]?.string ?? "") ?? .succeeded,
            placement: kind?.placement ?? .process,
            memoryLimit: memory(limits?["memory"], path: "\(path).limits.memory"),
            nice: (limits?["nice"]?.int).flatMap { Int(exactly: $0) })
    }

    private mutating func readNeeds(_ spec: JSONObject, name: String, path: String) -> Set<String> {
        var needs: Set<String> = []
        for (index, need) in (spec["needs"]?.array ?? []).enumerated() {
            let place = "\(path).needs[\(index)]"
            let needed = need.string ?? ""
            if needed == name {
                wrong(place, "a step cannot need itself")
            } else if !stepNames.contains(needed) {
                wrong(place, "there is no step '\(needed)'; there are \(stepNames.joined(separator: ", "))")
            } else if !needs.insert(needed).inserted {
                wrong(place, "'\(needed)' is written twice")
            }
        }
        return needs
    }

    private mutating func readCondition(_ value: JSONValue?, path: String) -> PipelineCondition? {
        guard let value, !value.isNull else { return nil }
        guard let text = value.string ?? value.bool.map({ "\($0)" }) else {
            wrong(path, "must be a condition such as \"${steps.evaluate.auc} > 0.9\"")
            return nil
        }
        do throws(AerieError) { return try PipelineCondition(text) } catch {
            wrong(path, error.details.first?.problem ?? error.message)
            return nil
        }
    }

    private mutating func need(
        _ reference: PipelineReference, of step: String, path: String, _ needs: inout Set<String>
    ) {
        switch reference.source {
        case .runID, .pipelineName: break
        case .parameter(let parameter):
            if !parameters.contains(where: { $0.name == parameter }) {
                let known = parameters.map(\.name).joined(separator: ", ")
                wrong(
                    path,
                    "\(reference): there is no parameter '\(parameter)'; "
                        + (known.isEmpty ? "spec.parameters declares none" : "there are \(known)"))
            }
        case .output(let other, let output, _):
            guard other != step else { return wrong(path, "\(reference): a step cannot refer to its own output") }
            guard stepNames.contains(other) else {
                return wrong(
                    path, "\(reference): there is no step '\(other)'; there are \(stepNames.joined(separator: ", "))")
            }
            needs.insert(other)
            guard let kind = catalog[kinds[other] ?? ""] else { return }
            if !kind.outputs.contains(output), !kind.outputs.contains("*") {
                wrong(
                    path,
                    "\(reference): a step of kind '\(kind.name)' gives "
                        + (kind.outputs.isEmpty ? "nothing" : kind.outputs.joined(separator: ", ")) + ", no '\(output)'"
                )
            }
        }
    }

    private mutating func checkExperiment(_ text: String) {
        do throws(AerieError) {
            for reference in try PipelineTemplate(text).references {
                switch reference.source {
                case .output:
                    wrong("spec.experiment", "\(reference): steps give their outputs only after the run has begun")
                case .runID, .pipelineName: break
                case .parameter(let name):
                    if !parameters.contains(where: { $0.name == name }) {
                        wrong("spec.experiment", "\(reference): there is no parameter '\(name)'")
                    }
                }
            }
        } catch { wrong("spec.experiment", error.details.first?.problem ?? error.message) }
    }

    /// Names one cycle, if there is any, from the first step of the pipeline that is in it.
    private mutating func findCycle(_ steps: [PlannedStep]) {
        let needs = Dictionary(steps.map { ($0.name, $0.needs) }, uniquingKeysWith: { a, _ in a })
        var done: Set<String> = []
        // Steps whose needs are all done are taken away, again and again; what stays is in or behind a cycle.
        var remaining = steps.map(\.name)
        while true {
            let ready = remaining.filter { (needs[$0] ?? []).allSatisfy(done.contains) }
            if ready.isEmpty { break }
            done.formUnion(ready)
            remaining.removeAll(where: done.contains)
        }
        guard let start = remaining.first else { return }
        var walk = [start]
        while let next = (needs[walk[walk.count - 1]] ?? []).first(where: { !done.contains($0) }) {
            if let at = walk.firstIndex(of: next) {
                let cycle = Array(walk[at...].reversed())
                let names = ([cycle[cycle.count - 1]] + cycle).joined(separator: " → ")
                let index = stepNames.firstIndex(of: next) ?? 0
                return wrong("spec.steps[\(index)].needs", "the steps wait for each other: \(names)")
            }
            walk.append(next)
        }
    }

    private mutating func wrong(_ path: String, _ problem: String) {
        problems.append(.init(field: path, problem: problem))
    }
}

extension PipelinePlanBuilder {
    private mutating func duration(_ value: JSONValue?, path: String) -> Duration? {
        guard let value, !value.isNull else { return nil }
        guard let duration = Duration(pipelineText: value) else {
            problems.append(
                .init(field: path, problem: "\(value.text()) is no time; write 30s, 10m or 2h, at most 366d"))
            return nil
        }
        return duration
    }

    private mutating func retryPolicy(_ value: JSONValue?, path: String) -> RetryPolicy {
        guard let value, !value.isNull else { return RetryPolicy() }
        var shape = SpecShape(acceptsReferences: false)
        if value.object == nil {
            shape.check(value, .integer(0...20), path: path)
        } else {
            shape.check(
                value,
                .object([
                    Field("limit", .integer(0...20), required: true), Field("backoff", .any),
                    Field("factor", .number(1...10)), Field("maximumBackoff", .any),
                ]), path: path)
        }
        problems += shape.problems
        guard shape.problems.isEmpty else { return RetryPolicy() }
        var policy = RetryPolicy(limit: Int(value.int ?? value["limit"]?.int ?? 0))
        if let base = duration(value["backoff"], path: "\(path).backoff") { policy.backoff.base = base }
        if let longest = duration(value["maximumBackoff"], path: "\(path).maximumBackoff") {
            policy.backoff.cap = longest
        }
        if let factor = value["factor"]?.double { policy.backoff.factor = factor }
        return policy
    }

    /// Bytes, as a number or as `512Mi`, `2Gi`, `500M`, `1G`.
    private mutating func memory(_ value: JSONValue?, path: String) -> Int64? {
        guard let value, !value.isNull else { return nil }
        let units: [String: Double] = [
            "": 1, "K": 1e3, "M": 1e6, "G": 1e9, "Ki": 1024, "Mi": 1_048_576, "Gi": 1_073_741_824,
        ]
        var bytes = value.double
        if let text = value.string {
            let digits = text.prefix { $0.isNumber || $0 == "." }
            if let number = Double(digits), let unit = units[String(text.dropFirst(digits.count))] {
                bytes = number * unit
            }
        }
        guard let bytes, bytes >= 64 * 1_048_576, bytes <= 1e15 else {
            problems.append(
                .init(field: path, problem: "\(value.text()) is no amount of memory from 64Mi on; write 512Mi or 2Gi"))
            return nil
        }
        return Int64(bytes)
    }

    static func isName(_ text: String, limit: Int, allowsDots: Bool = false) -> Bool {
        guard let first = text.utf8.first, text.utf8.count <= limit, isAlphanumeric(first) else { return false }
        return text.utf8.allSatisfy {
            isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_")
                || (allowsDots && $0 == UInt8(ascii: "."))
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "z"),
            UInt8(ascii: "A")...UInt8(ascii: "Z"):
            true
        default: false
        }
    }
}
