import AerieCore
import AerieJSON
import ArgumentParser
import Console
import Explain
import Foundation
import InferONNX
import InferTrees
import Serving

/// `aerie explain`: why a model answers rows as it does.
struct ExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Say what each column of a row had to do with its prediction.",
        discussion: """
            aerie explain fraud --rows rows.csv asks a deployment, whose explainer decides on the method (TreeShap for \
            tree ensembles that name none). aerie explain --model model.json --rows rows.csv reads a model file (XGBoost, \
            LightGBM, ONNX) or an MLflow model folder and needs no server. Rows are a CSV file with a head, or JSON.
            """)

    @Argument(help: "The deployment to ask.") var deployment: String?
    @Option(help: "A model file or an MLflow model folder, instead of a deployment.") var model: String?
    @Option(help: "The rows: a CSV file with a head, or a JSON list.") var rows: String
    @Option(help: "The deployment's predictor; else its first.") var predictor: String?
    @Option(help: "Of --model: TreeShap, KernelShap or LIME; else TreeShap for trees.") var method: String?
    @Option(help: "Of --model: a CSV file with the background rows.") var background: String?
    @Option(help: "Of --model: parameters of the method as JSON, such as '{\"link\": \"logit\"}'.") var parameters = "{}"
    @Option(help: "The output that the table and the picture show; else the last.") var output: Int?
    @Option(help: "The row that the table and the picture show, from 0.") var row = 0
    @Flag(help: "Tell how columns work together, too (with --json).") var interactions = false
    @Flag(help: "Print the whole explanation as JSON.") var json = false
    @Option(help: "Write the picture to this file.") var svg: String?
    @OptionGroup var server: ServerOptions

    func validate() throws {
        if (deployment == nil) == (model == nil) { throw ValidationError("Name either a deployment or --model.") }
        if deployment != nil, method != nil || background != nil || parameters != "{}" {
            throw ValidationError("A deployment's explainer decides on the method and the background rows.")
        }
    }

    func run() async throws {
        try await ClientOutput.reporting {
            let explanation = try await explanation()
            let shown = try ShownExplanation(explanation, row: row, output: output)
            if let svg {
                let picture = Data(shown.picture.file().utf8)
                do { try picture.write(to: URL(fileURLWithPath: svg), options: .atomic) } catch {
                    throw AerieError(.failedPrecondition, "\(svg) cannot be written: \(error.localizedDescription)")
                }
            }
            if json { return print(explanation.text()) }
            print(shown.table(), terminator: "")
        }
    }

    private func explanation() async throws -> JSONValue {
        let message = try RowsFile.read(rows)
        if let deployment {
            var query: [(String, String)] = predictor.map { [("predictor", $0)] } ?? []
            if interactions { query.append(("interactions", "true")) }
            guard deployment.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: "/") }) else {
                throw AerieError.invalid("deployment", "\"\(deployment)\" is no name of a deployment")
            }
            let body: JSONValue = ["instances": try message.rowsAsJSON()]
            return try await server.client().post(
                "/api/aerie/v1/deployments/\(deployment)/explain", query: query, body: body.text(),
                type: "application/json")
        }
        return try local(message).json
    }

    /// By the same code as the server's, in this process.
    private func local(_ message: GraphMessage) throws(AerieError) -> Explanation {
        let loader = ModelLoader(formats: [XGBoostFormat(), LightGBMFormat(), ONNXFormat()])
        let loaded = try loader.load(try LocalModelSource.locate(model ?? ""))
        var settings: ExplainerSettings?
        if method != nil || background != nil || parameters != "{}" {
            let value: JSONValue
            do throws(JSONError) { value = try JSONValue.parse(parameters) } catch {
                throw error.asAerieError(in: "--parameters")
            }
            settings = try ExplainerSettings(
                type: method ?? "TreeShap", parameters: value, background: background, at: "explainer")
        }
        let table = try background.map { path throws(AerieError) in
            try PredictorExplainer.background(path, columns: loaded.description.featureNames)
        }
        return try PredictorExplainer(loaded, settings: settings, background: table)
            .explain(message, interactions: interactions, interest: Interest())
    }
}

/// One row and output of an explanation's JSON, as people read it.
struct ShownExplanation {
    private let method: String
    private let base: Double
    private let bars: [ContributionPicture.Bar]
    private let prediction: String

    var picture: ContributionPicture {
        ContributionPicture(title: "what each column did", base: base, bars: bars, isSum: method != "LIME")
    }

    /// - Parameter output: `nil` for the last.
    /// - Throws: `invalidArgument` for a row or output that is not there.
    init(_ json: JSONValue, row: Int, output: Int?) throws(AerieError) {
        let data = json["data"]
        method = json["meta"]?["name"]?.string ?? ""
        let values = data?["shap_values"] ?? data?["weights"]
        let outputs = values?.array?.count ?? 0
        let chosen = output ?? outputs - 1
        guard chosen >= 0, chosen < outputs else {
            throw .invalid("output", "\(chosen) is none of the \(outputs) outputs, which are counted from 0")
        }
        let rows = values?[chosen]?.array?.count ?? 0
        guard row >= 0, row < rows, let line = values?[chosen]?[row]?.array else {
            throw .invalid("row", "\(row) is none of the \(rows) rows, which are counted from 0")
        }
        let names = data?["feature_names"]?.array?.map { $0.string ?? "" } ?? []
        let labels = data?["labels"]?[row]?.array?.map { $0.string ?? "" }
        let instance = data?["raw"]?["instances"]?[row]
        base = data?["expected_value"]?[chosen]?.double ?? data?["intercept"]?[row]?[chosen]?.double ?? 0
        prediction = data?["raw"]?["prediction"]?[row]?.text() ?? ""
        bars = line.enumerated().map { place, value in
            let cell = instance?[place]?.double.map(Self.number) ?? "missing"
            let label = labels?[place] ?? "\(names[place]) = \(cell)"
            return .init(label: label, value: value.double ?? 0)
        }
    }

    func table() -> String {
        var table = TextTable(["column", "contribution"], numbers: [1])
        for bar in bars.sorted(by: { (-abs($0.value), $0.label) < (-abs($1.value), $1.label) }) {
            table.add([bar.label, Self.number(bar.value)])
        }
        let sum = bars.reduce(base) { $0 + $1.value }
        let rest = method == "LIME"
            ? "intercept \(Self.number(base)), the line's answer \(Self.number(sum))"
            : "expected \(Self.number(base)), explained \(Self.number(sum))"
        return "\(method): the model answers \(prediction); \(rest)\n" + table.text(width: Terminal.width)
    }

    private static func number(_ value: Double) -> String { String(format: "%.6g", value) }
}
