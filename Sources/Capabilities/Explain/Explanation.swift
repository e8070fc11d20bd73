public import AerieJSON

/// Rows with what explains their predictions.
public struct Explanation: Sendable {
    public let settings: ExplainerSettings
    public let featureNames: [String]
    public let isClassifier: Bool
    public let rows: Table
    public let attribution: Attribution
    /// The model's own answers, `[row][output]`, after its link function.
    public let predictions: [Double]
    /// Of LIME's lines, `[row][output]`; empty for other methods.
    public let fits: [Lime.Fit]
    /// What LIME says of each row's columns.
    public let labels: [[String]]

    public var method: ExplainerSettings.Method { settings.method }

    /// What the values are called where a person reads them: the column with the row's value, or LIME's bin.
    public func label(row: Int, feature: Int) -> String {
        if labels.indices.contains(row) { return labels[row][feature] }
        let value = rows.values[row * rows.columnCount + feature]
        return "\(featureNames[feature]) = \(value.isNaN ? "missing" : BinnedColumn.text(value))"
    }

    /// In the JSON of the `alibi` library: `{"meta": {...}, "data": {...}}`.
    ///
    /// Shapley values are `data.shap_values[output][row][column]` with `data.expected_value[output]`; LIME, which alibi
    /// has not, has `data.weights` in the same shape, `data.intercept[row][output]`, `data.score` and
    /// `data.local_prediction`.
    public var json: JSONValue {
        var data = JSONObject()
        let values = byOutput { output in
            matrix { row in .array(attribution.values(row: row, output: output).map(Self.number)) }
        }
        if method == .lime {
            data["weights"] = values
            data["intercept"] = matrix { row in
                byOutput { .double(attribution.base(row: row, output: $0)) }
            }
            data["score"] = matrix { row in byOutput { .double(fits[row * attribution.outputCount + $0].score) } }
            data["local_prediction"] = matrix { row in
                byOutput { .double(fits[row * attribution.outputCount + $0].prediction) }
            }
            data["labels"] = .array(labels.map { .array($0.map { .string($0) }) })
        } else {
            data["shap_values"] = values
            data["expected_value"] = .array(attribution.base.map(Self.number))
        }
        if method == .treeShap { data["shap_interaction_values"] = interactions }
        data["categorical_names"] = [:]
        data["feature_names"] = .array(featureNames.map { .string($0) })
        data["raw"] = raw
        return ["meta": meta, "data": .object(data)]
    }

    private var meta: JSONValue {
        var parameters: JSONObject = ["seed": .int(Int64(settings.seed))]
        if let background = settings.background { parameters["background"] = .string(background) }
        switch method {
        case .treeShap:
            parameters["model_output"] = "raw"
            parameters["algorithm"] = .string(settings.background == nil ? "tree_path_dependent" : "interventional")
        case .kernelShap:
            parameters["link"] = .string(settings.link.rawValue)
            parameters["nsamples"] = settings.samples.map { .int(Int64($0)) } ?? "auto"
        case .lime:
            parameters["num_samples"] = .int(Int64(settings.samples ?? 5000))
            parameters["num_features"] = .int(Int64(settings.keptColumns))
        }
        return [
            "name": .string(method.rawValue), "type": [method == .treeShap ? "whitebox" : "blackbox"],
            "explanations": ["local"], "params": .object(parameters),
            "task": .string(isClassifier ? "classification" : "regression"),
        ]
    }

    private var raw: JSONValue {
        // One output has no list of its own there. A model that answers a class has one for several sums.
        func flat(_ values: [Double]) -> JSONValue {
            let width = values.count / max(rows.rowCount, 1)
            return width == 1
                ? .array(values.map(Self.number))
                : matrix { row in .array(values[(row * width)..<((row + 1) * width)].map(Self.number)) }
        }
        return [
            "raw_prediction": flat(attribution.answers),
            "prediction": flat(predictions),
            "instances": matrix { .array(rows.row($0).map(Self.number)) },
            "importances": .object(importances),
        ]
    }

    /// For each output, and over all of them, the columns by the mean of their values' size.
    private var importances: JSONObject {
        let outputs = attribution.outputCount
        var total = [Double](repeating: 0, count: featureNames.count)
        var all = JSONObject()
        func ranked(_ effects: [Double]) -> JSONValue {
            let order = effects.indices.sorted { (-effects[$0], $0) < (-effects[$1], $1) }
            return [
                "ranked_effect": .array(order.map { Self.number(effects[$0]) }),
                "names": .array(order.map { .string(featureNames[$0]) }),
            ]
        }
        for output in 0..<outputs {
            var effects = [Double](repeating: 0, count: featureNames.count)
            for row in 0..<rows.rowCount {
                for (feature, value) in attribution.values(row: row, output: output).enumerated() {
                    effects[feature] += abs(value) / Double(rows.rowCount)
                }
            }
            for feature in effects.indices { total[feature] += effects[feature] }
            all["\(output)"] = ranked(effects)
        }
        all["aggregated"] = ranked(total)
        return all
    }

    /// `[output][row][column][column]`, an empty list where nobody asked.
    private var interactions: JSONValue {
        guard let all = attribution.interactions else { return [] }
        let width = featureNames.count
        return byOutput { output in
            matrix { row in
                let first = (row * attribution.outputCount + output) * width * width
                return .array(
                    (0..<width).map { line in
                        .array(all[(first + line * width)..<(first + (line + 1) * width)].map(Self.number))
                    })
            }
        }
    }

    private func byOutput(_ value: (Int) -> JSONValue) -> JSONValue {
        .array((0..<attribution.outputCount).map(value))
    }

    private func matrix(_ row: (Int) -> JSONValue) -> JSONValue { .array((0..<rows.rowCount).map(row)) }

    /// What is no number in JSON is null.
    private static func number(_ value: Double) -> JSONValue { value.isFinite ? .double(value) : .null }
}
