import AerieCore
import AerieJSON
import AerieResources
import AerieWire
import Features

/// On-demand feature views: their functions are Python, which is run in processes of its own.
extension FeastDefinitionReader {
    private static let onDemandMembers: Set = ["onDemand", "disabled", "entities", "features", "description", "owner", "tags"]

    /// `OnDemandFeatureViewSpec`.
    mutating func onDemandFeatureView() throws(AerieError) -> Outcome {
        let message = object.spec
        let view = "on-demand feature view '\(object.name)'"
        if message.has(16) { problems.append("\(view) aggregates, which is not carried out") }
        let mode = message.text(11).isEmpty ? "pandas" : message.text(11).lowercased()
        if OnDemandFunction.Mode(rawValue: mode) == nil {
            problems.append("\(view) is of mode '\(mode)'; pandas, python and substrait are run")
        }
        guard let function = try onDemandFunction(mode), problems.isEmpty else {
            if problems.isEmpty { problems.append("\(view) has no function") }
            return outcome
        }
        guard var onDemand = try onDemandSources(view) else { return outcome }
        onDemand["mode"] = .string(mode)
        if message.number(15) != 0 { onDemand["singleton"] = true }
        onDemand["function"] = .object(function)
        var spec = JSONObject()
        if message.number(19) != 0 { spec["disabled"] = true }
        if message.number(12) != 0 {
            onDemand["writeToOnlineStore"] = true
            spec["entities"] = .array(message.texts(13).filter { $0 != Self.noEntity }.map { .string($0) })
        }
        spec["onDemand"] = .object(onDemand)
        let features = try features(message, list: 3)
        guard !features.isEmpty else { return withoutFeatures }
        spec["features"] = .array(features)
        try described(&spec, description: 6, owner: 8, tags: 7)
        return resource("FeatureView", keepingRest(spec, known: Self.onDemandMembers))
    }

    /// `FeatureTransformationV2 {1: user_defined_function {1: name, 2: body, 3: body_text}, 2: substrait_transformation
    /// {1: substrait_plan}}` in field 10, or in field 5 a function as older SDKs write it; `nil` for none.
    private func onDemandFunction(_ mode: String) throws(AerieError) -> JSONObject? {
        let transformation = try object.spec.message(10)
        if mode == OnDemandFunction.Mode.substrait.rawValue {
            guard let plan = try transformation?.message(2)?.data(1) else { return nil }
            return ["plan": .string(Base64.standard.encode(plan))]
        }
        var given = try transformation?.message(1)
        if given == nil { given = try object.spec.message(5) }
        guard let given else { return nil }
        var function: JSONObject = ["name": .string(given.text(1)), "source": .string(given.text(3))]
        let pickle = given.all(2).last ?? []
        if !pickle.isEmpty { function["pickle"] = .string(Base64.standard.encode(pickle)) }
        return function
    }

    /// The map of `OnDemandSource` in field 4 as `inputs` and `request`; `nil` if one is not read here.
    private mutating func onDemandSources(_ view: String) throws(AerieError) -> JSONObject? {
        var inputs: [JSONValue] = []
        var request: [JSONValue] = []
        for entry in try object.spec.messages(4) {
            guard let source = try entry.message(2) else { continue }
            if let projection = try source.message(3) {
                let name = projection.text(1)
                let hasAlias = !projection.text(3).isEmpty && projection.text(3) != name
                guard !hasAlias, try projection.map(4).isEmpty else {
                    problems.append("\(view) reads '\(name)' under another name or by other keys")
                    return nil
                }
                inputs += try projection.messages(2).map { .string("\(name):\($0.text(1))") }
            } else if let whole = try source.message(1)?.message(1) {
                inputs += try whole.messages(4).map { .string("\(whole.text(1)):\($0.text(1))") }
            } else if let columns = try source.message(2)?.message(18)?.messages(3) {
                for column in columns {
                    guard let type = FeastValueType.type(column.number(2)) else {
                        problems.append(
                            "\(view) takes '\(column.text(1))' of type \(FeastValueType.name(column.number(2)))")
                        return nil
                    }
                    request.append(["name": .string(column.text(1)), "dtype": .string(type.rawValue)])
                }
            }
        }
        return ["inputs": .array(inputs), "request": .array(request)]
    }
}
