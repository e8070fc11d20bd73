import AerieCore
import AerieJSON
import Crypto

/// A LightGBM model as an MLflow model folder, which `mlflow.pyfunc.load_model` and `mlflow.lightgbm.load_model` open.
struct MLflowModelFolder {
    static let mlflowVersion = "3.18.0"
    static let lightGBMVersion = "4.7.0"
    static let pythonVersion = "3.11.2"

    var modelText: String
    var encoding: FeatureEncoding
    /// One row as an example of the input.
    var example: [Double]
    /// The threshold at which the probability becomes a decision, if it was chosen.
    var threshold: Double?
    var created: Timestamp

    func write(into folder: WorkFolder, name: String) throws(AerieError) {
        let inputs = JSONValue.array(encoding.names.map { ["type": "double", "name": .string($0), "required": true] })
        let outputs: JSONValue = [["type": "tensor", "tensor-spec": ["dtype": "float64", "shape": [-1]]]]
        try folder.write(modelText, to: "\(name)/model.lgb")
        try folder.write(encoding.json, to: "\(name)/encoding.json")
        try folder.write(
            ["columns": .array(encoding.names.map(JSONValue.string)), "data": [.array(example.map(Self.number))]]
                as JSONValue, to: "\(name)/input_example.json")
        try folder.write(
            "mlflow==\(Self.mlflowVersion)\nlightgbm==\(Self.lightGBMVersion)\nnumpy\npandas\nscipy\n",
            to: "\(name)/requirements.txt")
        try folder.write(
            """
            python: \(Self.pythonVersion)
            build_dependencies:
            - pip
            dependencies:
            - -r requirements.txt

            """, to: "\(name)/python_env.yaml")
        try folder.write(
            """
            name: mlflow-env
            channels:
            - conda-forge
            dependencies:
            - python=\(Self.pythonVersion)
            - pip
            - pip:
              - mlflow==\(Self.mlflowVersion)
              - lightgbm==\(Self.lightGBMVersion)
              - numpy
              - pandas
              - scipy

            """, to: "\(name)/conda.yaml")
        // Last, because a folder with an MLmodel is taken for a whole one.
        try folder.write(description(inputs: inputs, outputs: outputs), to: "\(name)/MLmodel")
    }

    /// JSON is YAML; the signature's two parts are strings of JSON, as MLflow writes them.
    private func description(inputs: JSONValue, outputs: JSONValue) -> String {
        let stamp = created.iso8601.split(separator: "T").joined(separator: " ").dropLast()
        let threshold = threshold.map { "\n  threshold: \($0)" } ?? ""
        return """
            artifact_path: model
            flavors:
              lightgbm:
                code: null
                data: model.lgb
                lgb_version: \(Self.lightGBMVersion)
                model_class: lightgbm.basic.Booster
              python_function:
                env:
                  conda: conda.yaml
                  virtualenv: python_env.yaml
                loader_module: mlflow.lightgbm
                python_version: \(Self.pythonVersion)
            metadata:
              encoding: encoding.json\(threshold)
            mlflow_version: \(Self.mlflowVersion)
            model_uuid: \(uuid)
            saved_input_example_info:
              artifact_path: input_example.json
              pandas_orient: split
              type: dataframe
            signature:
              inputs: '\(Self.quoted(inputs.text()))'
              outputs: '\(outputs.text())'
              params: null
            utc_time_created: '\(stamp).000000'

            """
    }

    /// From the model's content: the same training gives the same name.
    private var uuid: String {
        SHA256.hash(data: Array(modelText.utf8)).prefix(16).map { byte in
            let digits = String(byte, radix: 16)
            return digits.count == 1 ? "0" + digits : digits
        }.joined()
    }

    private static func quoted(_ text: String) -> String {
        text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''")
    }

    static func number(_ value: Double) -> JSONValue { value.isNaN ? .null : .double(value) }
}
