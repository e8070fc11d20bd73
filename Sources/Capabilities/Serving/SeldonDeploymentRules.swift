import AerieCore
import AerieJSON
import AerieResources

/// What a shape cannot say of a `SeldonDeployment`: sums, names that must differ, and parts that are not carried out.
struct SeldonDeploymentRules {
    private let resource: Resource
    private let predictors: [JSONValue]
    private(set) var problems: [AerieError.Detail] = []

    init(_ resource: Resource) {
        self.resource = resource
        predictors = resource.spec["predictors"]?.array ?? []
    }

    mutating func check() {
        checkSettings(resource.metadata.annotations, at: "metadata.annotations")
        checkSettings(SeldonDeploymentSpec.texts(resource.spec["annotations"]), at: "spec.annotations")
        if resource.spec["serverType"]?.string == "kafka" {
            report("spec.serverType", "kafka is not carried out; requests come over HTTP and gRPC (\"rpc\")")
        }
        guard !predictors.isEmpty else {
            return report("spec.predictors", "is empty; a deployment needs at least one predictor")
        }
        guard predictors.count <= 64 else {
            return report("spec.predictors", "has \(predictors.count) predictors; at most 64 are allowed")
        }
        checkNames()
        checkTraffic()
        for (index, predictor) in predictors.enumerated() {
            let path = "spec.predictors[\(index)]"
            checkSettings(SeldonDeploymentSpec.texts(predictor["annotations"]), at: path + ".annotations")
            checkAutoscaling(predictor["autoscaling"], at: path + ".autoscaling")
            do throws(AerieError) {
                _ = try SeldonDeploymentSpec.explainer(predictor["explainer"], at: path + ".explainer")
            } catch { problems += error.details }
            if let graph = predictor["graph"] {
                checkParameters(graph, at: path + ".graph", first: path + ".graph")
                problems += GraphRules(graph, at: path + ".graph", protocol: resource.spec["protocol"]?.string).problems
            }
        }
    }

    private mutating func checkNames() {
        var seen: [String: Int] = [:]
        for (index, predictor) in predictors.enumerated() {
            let path = "spec.predictors[\(index)].name"
            let name = predictor["name"]?.string ?? ""
            if let problem = Self.labelProblem(name) { report(path, problem) }
            if let first = seen[name] {
                report(path, "\"\(name)\" is the name of spec.predictors[\(first)] too; names must differ")
            } else {
                seen[name] = index
            }
        }
    }

    private mutating func checkTraffic() {
        let taking = predictors.enumerated().filter { $0.element["shadow"]?.bool != true }
        if taking.isEmpty {
            return report("spec.predictors", "all predictors are shadows; one must take the traffic")
        }
        if taking.count == 1 {
            let share = taking[0].element["traffic"]?.int ?? 0
            if share != 0, share != 100 {
                report(
                    "spec.predictors[\(taking[0].offset)].traffic",
                    "is \(share), but a single predictor takes all the traffic; write 100 or leave it out")
            }
            return
        }
        let sum = taking.reduce(Int64(0)) { $0 + ($1.element["traffic"]?.int ?? 0) }
        if sum != 100 {
            let parts = taking.map { String($0.element["traffic"]?.int ?? 0) }.joined(separator: " + ")
            report("spec.predictors", "the traffic adds up to \(sum) (\(parts)); it must be 100")
        }
    }

    private mutating func checkAutoscaling(_ autoscaling: JSONValue?, at path: String) {
        guard let least = autoscaling?["minReplicas"]?.int, let most = autoscaling?["maxReplicas"]?.int else { return }
        if least > most { report(path + ".maxReplicas", "\(most) is below minReplicas, \(least)") }
    }

    /// The parameters of a node and of all below it.
    /// - Parameter first: where the graph's first node stands, whose parameters are settings of the whole graph.
    private mutating func checkParameters(_ node: JSONValue, at place: String, first: String) {
        for (index, child) in (node["children"]?.array ?? []).enumerated() {
            checkParameters(child, at: "\(place).children[\(index)]", first: first)
        }
        let path = place + ".parameters"
        var seen: Set<String> = []
        for (index, parameter) in (node["parameters"]?.array ?? []).enumerated() {
            let name = parameter["name"]?.string ?? ""
            let value = parameter["value"]?.string ?? ""
            if !seen.insert(name).inserted { report("\(path)[\(index)].name", "\"\(name)\" is given twice") }
            if let setting = ParameterSetting.named(name) {
                if place != first {
                    report("\(path)[\(index)].name", Self.misplaced(name, node["name"]?.string ?? "", first))
                } else if let problem = setting.problem(value) {
                    report("\(path)[\(index)].value", problem)
                }
            }
            let fits =
                switch parameter["type"]?.string {
                case "INT": Int64(value) != nil
                case "FLOAT", "DOUBLE": Double(value) != nil
                case "BOOL": ["true", "false"].contains(value.lowercased())
                default: true
                }
            if !fits { report("\(path)[\(index)].value", "\"\(value)\" is no \(parameter["type"]?.string ?? "")") }
        }
    }

    private static func misplaced(_ setting: String, _ node: String, _ first: String) -> String {
        let reason =
            FeatureSetting(rawValue: setting) == nil
            ? "" : ": features are read once, before the graph, and passed on from node to node"
        return "\(setting) counts for the whole graph, not for the node \"\(node)\"\(reason); write it into "
            + "\(first).parameters or as an annotation"
    }

    private mutating func checkSettings(_ annotations: [String: String], at path: String) {
        check(LabelSetting.self, annotations, at: path)
        check(FeatureSetting.self, annotations, at: path)
        check(TrafficSetting.self, annotations, at: path)
        check(ServingSetting.self, annotations, at: path)
        check(LimitSetting.self, annotations, at: path)
    }

    private mutating func check<Setting: DeploymentSetting>(
        _: Setting.Type, _ annotations: [String: String], at path: String
    ) {
        for setting in Setting.allCases {
            guard let value = annotations[setting.rawValue], let problem = setting.problem(value) else { continue }
            report("\(path).\(setting.rawValue)", problem)
        }
    }

    private mutating func report(_ path: String, _ problem: String) {
        problems.append(.init(field: path, problem: problem))
    }

    /// What is wrong with a DNS-1123 label; `nil` if nothing is.
    static func labelProblem(_ name: String) -> String? {
        if name.isEmpty { return "is empty" }
        if name.utf8.count > 63 { return "has \(name.utf8.count) characters; at most 63 are allowed" }
        func isAlphanumeric(_ byte: UInt8) -> Bool { (0x61...0x7a).contains(byte) || (0x30...0x39).contains(byte) }
        let bytes = Array(name.utf8)
        let fits = bytes.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "-") }
        guard fits, let first = bytes.first, let last = bytes.last, isAlphanumeric(first), isAlphanumeric(last) else {
            return "\"\(name)\" may hold only lowercase letters, digits and '-', and must begin and end with a letter "
                + "or digit"
        }
        return nil
    }
}
