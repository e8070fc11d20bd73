import AerieCore
import AerieJSON
import CLightGBM
import Training

/// A parameter text for the library: the caller's parameters, checked against the names that the library knows, with
/// those that determinism and silence need.
struct LightGBMParameters {
    let text: String

    /// Decided by `BoosterOptions`, so that there is one place for each.
    private static let fields = [
        "num_iterations": "rounds", "early_stopping_round": "earlyStoppingRounds", "seed": "seed",
        "categorical_feature": "the rows' categoricalFeatures",
    ]

    /// Those that read or write files or speak to other machines, or that choose what this adapter has chosen.
    private static let refused: Set<String> = [
        "config", "task", "data", "valid", "input_model", "output_model", "output_result", "machines",
        "machine_list_filename", "local_listen_port", "num_machines", "forcedsplits_filename", "forcedbins_filename",
        "initscore_filename", "valid_data_initscores", "save_binary", "snapshot_freq", "convert_model", "device_type",
        "parser_config_file", "weight_column", "label_column", "group_column", "ignore_column", "position_column",
        "is_provide_training_metric", "tree_learner",
    ]

    init(_ options: BoosterOptions, categorical: [Int]) throws(AerieError) {
        let aliases = try Self.aliases()
        var values: [(name: String, value: String)] = [
            ("num_threads", "2"), ("deterministic", "true"), ("force_row_wise", "true"),
        ]
        var problems: [AerieError.Detail] = []
        for (given, value) in options.parameters {
            let field = "parameters.\(given)"
            guard let name = aliases[given] else {
                problems.append(.init(field: field, problem: "LightGBM has no such parameter"))
                continue
            }
            if let other = Self.fields[name] {
                problems.append(.init(field: field, problem: "is decided by \(other); set that"))
            } else if Self.refused.contains(name) {
                problems.append(.init(field: field, problem: "may not be set: rows come from memory, on this machine"))
            } else if value.isEmpty || value.contains(where: { $0.isWhitespace || $0 == "=" || $0 == "\0" }) {
                problems.append(.init(field: field, problem: "'\(value)' is empty or holds white space or '='"))
            } else if name != "verbosity" {
                values.removeAll { $0.name == name }
                // The two layouts exclude each other.
                if name == "force_col_wise", value == "true" { values.removeAll { $0.name == "force_row_wise" } }
                values.append((name, value))
            }
        }
        if let error = AerieError.invalid("the training's parameters", problems: problems) { throw error }
        values += [("seed", "\(Int32(truncatingIfNeeded: options.seed) & .max)"), ("verbosity", "-1")]
        if !categorical.isEmpty {
            values.append(("categorical_feature", categorical.map(String.init).joined(separator: ",")))
        }
        text = values.map { "\($0.name)=\($0.value)" }.joined(separator: " ")
    }

    /// Every name that the library takes, with the parameter that it stands for.
    private static func aliases() throws(AerieError) -> [String: String] {
        var needed: Int64 = 0
        var status = clgbm_parameter_aliases(0, &needed, nil)
        var buffer = [CChar](repeating: 0, count: Int(clamping: max(1, needed)))
        status = clgbm_parameter_aliases(Int64(buffer.count), &needed, &buffer)
        if status != 0 { throw LightGBMBooster.error() }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        guard let object = (try? JSONValue.parse(bytes))?.object else {
            throw AerieError(.internal, "LightGBM's list of parameters is not JSON")
        }
        var names: [String: String] = [:]
        for member in object.members {
            names[member.key] = member.key
            for alias in member.value.array ?? [] { if let alias = alias.string { names[alias] = member.key } }
        }
        return names
    }
}
