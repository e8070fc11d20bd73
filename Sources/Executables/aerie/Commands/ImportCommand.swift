import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

/// `aerie import`: what other systems keep, brought over.
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring over what another system keeps.",
        subcommands: [ImportMLflowCommand.self])
}

/// `aerie import mlflow`: an MLflow server's database and artifacts.
struct ImportMLflowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mlflow", abstract: "Bring over an MLflow server's database and artifacts.",
        discussion: """
            Everything keeps its identifier, name and time. It can be interrupted at any time, and run again: what is \
            there already is left as it is. The MLflow server may go on running; nothing of its is changed.

              aerie import mlflow --from mlflow.db --artifacts mlartifacts --dry-run
              aerie import mlflow --from sqlite:///srv/mlflow/mlflow.db --artifacts /srv/mlflow/mlartifacts
            """)

    @Option(help: "The SQLite file of the MLflow server: a path, or sqlite:///… as its --backend-store-uri has it.")
    var from: String
    @Option(help: "The folder of its artifacts: its --artifacts-destination.") var artifacts: String?
    @Flag(help: "Count what there is, and change nothing.") var dryRun = false
    @Option(help: "table or json.") var output = "table"
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard ["table", "json"].contains(output) else {
                throw AerieError.invalid("--output", "\"\(output)\" is neither table nor json")
            }
            var body: JSONObject = ["from": .string(try Self.file(from)), "dry_run": .bool(dryRun)]
            if let artifacts { body["artifacts"] = .string(Self.absolute(artifacts)) }
            let report = try await follow(try server.client(), .object(body))
            if output == "json" {
                print(report.text(indent: 2))
            } else {
                print(Self.table(report))
            }
        }
    }

    /// The server reads the file, so its path has to be whole.
    private static func file(_ text: String) throws(AerieError) -> String {
        if text.hasPrefix("sqlite:///") {
            let path = String(text.dropFirst("sqlite:///".count))
            // Four slashes are an absolute path, three one from here.
            return absolute(path)
        }
        guard !text.contains("://") else {
            throw .invalid(
                "--from", "\"\(text)\" is no SQLite file; name the file of the server's --backend-store-uri sqlite:///…"
            )
        }
        return absolute(text)
    }

    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    private func follow(_ client: PlatformClient, _ body: JSONValue) async throws(AerieError) -> JSONValue {
        var progress = ProgressLine()
        var totals: JSONValue = .null
        let report = try await client.follow("/api/aerie/v1/imports", body: body) { line throws(AerieError) in
            switch line["type"]?.string {
            case "began": totals = line
            case "warning":
                progress.clear()
                ClientOutput.note("warning: \(line["message"]?.string ?? "")")
            default:
                let kind = line["kind"]?.string ?? ""
                let done = line["done"]?.int ?? 0
                let total = max(totals[kind]?.int ?? done, 1)
                progress.show(
                    "\(done) of \(total) \(kind.replacing("_", with: " "))", share: Double(done) / Double(total))
            }
        }
        progress.clear()
        return report
    }

    private static func table(_ report: JSONValue) -> String {
        let isDryRun = report["dry_run"]?.bool ?? false
        let kinds = ["experiments", "runs", "logged_models", "traces", "registered_models", "files"]
        let rows = kinds.filter { !(isDryRun && $0 == "files") }.map { kind in
            [
                kind.replacing("_", with: " "), "\(report["added"]?[kind]?.int ?? 0)",
                "\(report["present"]?[kind]?.int ?? 0)",
            ]
        }
        let head = ["WHAT", isDryRun ? "THERE" : "BROUGHT OVER", isDryRun ? "" : "HERE ALREADY"]
        var text = ClientOutput.table(head, rows)
        if let bytes = report["bytes"]?.int, bytes > 0 { text += "\(GCCommand.size(bytes)) of files\n" }
        if let warnings = report["warnings"]?.array, !warnings.isEmpty {
            text += "\(warnings.count) warnings, see above\n"
        }
        return String(text.dropLast())
    }
}
