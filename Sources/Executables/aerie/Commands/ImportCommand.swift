import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

/// `aerie import`: what other systems keep, brought over.
struct ImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import", abstract: "Bring over what another system keeps.",
        subcommands: [ImportMLflowCommand.self, ImportFeastCommand.self])
}

/// `aerie import mlflow`: an MLflow server that runs, or its database and artifacts.
struct ImportMLflowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "mlflow", abstract: "Bring over what an MLflow server keeps.",
        discussion: """
            Everything keeps its identifier, name and time. It can be interrupted at any time, and run again: what is \
            there already is left as it is. The MLflow server may go on running; nothing of its is changed. One that is \
            named by its address is asked over its REST API, and serves its artifacts too; its database file and the \
            folder of its artifacts are read faster. A folder mlruns, as MLflow keeps one without a server, is read \
            wherever it lies now.

              aerie import mlflow --from http://mlflow.example.com:5000
              aerie import mlflow --from mlflow.db --artifacts mlartifacts --dry-run
              aerie import mlflow --from mlruns
              aerie import mlflow --from sqlite:///srv/mlflow/mlflow.db --artifacts /srv/mlflow/mlartifacts
            """)

    @Option(
        help: """
            The MLflow server: its address, with user:password@ where it asks for them; its SQLite file, a path or \
            sqlite:///… as its --backend-store-uri has it; or a folder mlruns.
            """)
    var from: String
    @Option(help: "Beside a file: the folder of the server's artifacts, its --artifacts-destination.") var artifacts: String?
    @OptionGroup var options: ImportOptions

    func run() async throws {
        try await ClientOutput.reporting {
            var body: JSONObject = ["from": .string(try Self.place(from)), "dry_run": .bool(options.dryRun)]
            if let artifacts { body["artifacts"] = .string(Self.absolute(artifacts)) }
            let report = try await follow(try options.server.client(), .object(body))
            options.output.show(report) { table(report) }
        }
    }

    /// The server reads it, so the path of a file has to be whole.
    private static func place(_ text: String) throws(AerieError) -> String {
        if ["http://", "https://"].contains(where: { text.lowercased().hasPrefix($0) }) { return text }
        if let path = ImportOptions.path(ofSQLite: text) { return absolute(path) }
        guard !text.contains("://") else {
            throw .invalid(
                "--from",
                "\"\(text)\" is neither an address http://… nor an SQLite file, such as that of the server's "
                    + "--backend-store-uri sqlite:///…")
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
                let what = kind.replacing("_", with: " ")
                // A server that runs tells how many there are only with the last of them.
                guard let total = totals[kind]?.int else { return progress.show("\(done) \(what)") }
                progress.show("\(done) of \(total) \(what)", share: Double(done) / Double(max(total, 1)))
            }
        }
        progress.clear()
        return report
    }

    private func table(_ report: JSONValue) -> String {
        let isDryRun = options.dryRun
        let kinds = ["experiments", "runs", "logged_models", "traces", "registered_models", "files"]
        let rows = kinds.filter { !(isDryRun && $0 == "files") }.map { kind in
            [
                kind.replacing("_", with: " "), "\(report["added"]?[kind]?.int ?? 0)",
                "\(report["present"]?[kind]?.int ?? 0)",
            ]
        }
        let head = ["WHAT", options.newTitle, isDryRun ? "" : "HERE ALREADY"]
        var text = ClientOutput.table(head, rows)
        if let bytes = report["bytes"]?.int, bytes > 0 { text += "\(GCCommand.size(bytes)) of files\n" }
        if let warnings = report["warnings"]?.array, !warnings.isEmpty {
            text += "\(warnings.count) warnings, see above\n"
        }
        return text
    }
}
