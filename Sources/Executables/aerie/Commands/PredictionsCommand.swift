import AerieCore
import AerieJSON
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// `aerie predictions …`: what deployments predicted, and what came of it.
struct PredictionsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "predictions", abstract: "Read, export and label logged predictions.",
        discussion: """
            A deployment whose annotation aerie.dev/prediction-log is a share of its requests, such as 0.1, has them \
            logged: rows, results, version, time and the request's id. Labels that come later are joined by that id.
            """,
        subcommands: [PredictionsList.self, PredictionsExport.self, PredictionsLabel.self],
        defaultSubcommand: PredictionsList.self)
}

/// Which predictions.
struct PredictionOptions: ParsableArguments {
    @Option(help: "Of this deployment.") var deployment: String?
    @Option(help: "Of this model version.") var version: String?
    @Option(help: "Of the request with this id.") var puid: String?
    @Option(help: "From this moment on, such as 2026-03-01T12:00:00Z.") var since: String?
    @Option(help: "Before this moment.") var until: String?
    @Flag(help: "Only those with a label.") var labelled = false
    @OptionGroup var namespace: NamespaceOptions

    var query: [(String, String)] {
        let texts = [
            ("deployment", deployment), ("version", version), ("puid", puid), ("since", since), ("until", until),
            ("namespace", namespace.namespace), ("labelled", labelled ? "true" : nil),
        ]
        return texts.compactMap { name, value in value.map { (name, $0) } }
    }
}

struct PredictionsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "The newest predictions.")

    @OptionGroup var options: PredictionOptions
    @Option(help: "So many.") var limit = 20
    @Flag(help: "Print JSON.") var json = false
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let answer = try await server.client().get(
                "/api/aerie/v1/predictions", query: options.query + [("limit", "\(limit)")])
            if json { return print(answer.text()) }
            var table = TextTable(["time", "deployment", "version", "puid", "row", "outputs", "label", "features"])
            for prediction in answer["predictions"]?.array ?? [] {
                func numbers(_ value: JSONValue?) -> String {
                    (value?.array ?? []).map { $0.text() }.joined(separator: " ")
                }
                let features = (prediction["features"]?.object?.members ?? []).map { "\($0.key)=\($0.value.text())" }
                table.add([
                    prediction["time"]?.string ?? "", prediction["deployment"]?.string ?? "",
                    prediction["version"]?.string ?? "", prediction["puid"]?.string ?? "",
                    prediction["row"]?.text() ?? "", numbers(prediction["outputs"]),
                    prediction["label"].flatMap { $0.isNull ? nil : $0.text() } ?? "", features.joined(separator: " "),
                ])
            }
            print(table.text(width: Terminal.width), terminator: "")
        }
    }
}

struct PredictionsExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Write predictions with their labels to a Parquet file.")

    @OptionGroup var options: PredictionOptions
    @Option(name: .shortAndLong, help: "The file to write.") var output: String
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let client = try server.client()
            let request = client.request(.GET, "/api/aerie/v1/predictions/export", options.query, nil)
            let response = try await client.execute(request, deadline: .distantFuture)
            if response.status.code >= 400 { throw await PlatformClient.error(response) }
            try await client.save(response, to: output)
            ClientOutput.note("\(response.headers.first(name: "x-aerie-rows") ?? "?") rows written to \(output)")
        }
    }
}

struct PredictionsLabel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "label", abstract: "Say what really came of predictions.",
        discussion: "Either one (PUID VALUE), or a CSV file with the columns puid, value and, for batches, row.")

    @Argument(help: "The request's id.") var puid: String?
    @Argument(help: "The label, a number.") var value: Double?
    @Option(help: "The row in its request.") var row = 0
    @Option(name: .shortAndLong, help: "A CSV file with the columns puid, value and row.") var file: String?
    @OptionGroup var server: ServerOptions

    private static let batch = 10_000

    func run() async throws {
        try await ClientOutput.reporting {
            let labels = try read()
            let client = try server.client()
            for start in stride(from: 0, to: labels.count, by: Self.batch) {
                let part = Array(labels[start..<min(start + Self.batch, labels.count)])
                _ = try await client.post(
                    "/api/aerie/v1/predictions/labels", body: (["labels": .array(part)] as JSONValue).text(),
                    type: "application/json")
            }
            ClientOutput.note("\(labels.count) \(labels.count == 1 ? "label" : "labels") kept")
        }
    }

    private func read() throws(AerieError) -> [JSONValue] {
        guard let file else {
            guard let puid, let value else { throw .invalid("PUID VALUE", "name a request and its label, or a --file") }
            return [["puid": .string(puid), "value": .double(value), "row": .int(Int64(row))]]
        }
        let table = try CSVFile(path: file, field: "--file")
        guard let puidAt = table.column("puid"), let valueAt = table.column("value") else {
            throw .invalid("--file", "\(file) has no columns puid and value", line: 1)
        }
        let rowAt = table.column("row")
        var labels: [JSONValue] = []
        for line in table.rows {
            guard let value = Double(line.cells[valueAt]), let row = rowAt.map({ Int64(line.cells[$0]) }) ?? 0 else {
                throw .invalid("--file", "\(file): not puid, value and row as in its head", line: line.line)
            }
            labels.append(["puid": .string(line.cells[puidAt]), "value": .double(value), "row": .int(row)])
        }
        return labels
    }
}
