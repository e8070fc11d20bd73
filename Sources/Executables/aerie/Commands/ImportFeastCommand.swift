import AerieCore
import AerieJSON
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1
import ReadFeast

/// `aerie import feast`: the registry of a Feast repository.
struct ImportFeastCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "feast", abstract: "Bring over the registry of a Feast repository.",
        discussion: """
            Every object is kept as it is; entities, feature views and feature services become Aerie's own, in the \
            namespace of their project. It can be run again. What is kept and not carried out is listed.

              aerie import feast --from feature_repo/data/registry.db --dry-run
              aerie import feast --from registry.db --project fraud
            """)

    @Option(help: "The registry: a file as registry_type file has it, or the SQLite file of registry_type sql.")
    var from: String
    @Option(help: "The only project to bring over.") var project: String?
    @Flag(help: "Count what there is, and change nothing.") var dryRun = false
    @Option(help: "table or json.") var output = "table"
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard ["table", "json"].contains(output) else {
                throw AerieError.invalid("--output", "\"\(output)\" is neither table nor json")
            }
            let path = from.hasPrefix("sqlite:///") ? String(from.dropFirst("sqlite:///".count)) : from
            let report = try await send(try FeastRegistryFile.read(path))
            print(output == "json" ? report.text(indent: 2) : Self.table(report, isDryRun: dryRun))
        }
    }

    private func send(_ registry: [UInt8]) async throws(AerieError) -> JSONValue {
        let client = try server.client()
        var query = [("dry_run", dryRun ? "true" : "false")]
        if let project { query.append(("project", project)) }
        var request = client.request(.POST, "/api/aerie/v1/imports/feast", query, nil)
        request.headers.add(name: "content-type", value: "application/octet-stream")
        request.body = .bytes(ByteBuffer(bytes: registry))
        let response = try await client.execute(request, deadline: .now() + .minutes(10))
        if response.status.code >= 400 { throw await PlatformClient.error(response) }
        do {
            let buffer = try await response.body.collect(upTo: PlatformClient.maximumAnswer)
            return try JSONValue.parse(Array(buffer.readableBytesView))
        } catch { throw client.unreachable(error) }
    }

    private static func table(_ report: JSONValue, isDryRun: Bool) -> String {
        let rows = (report["kinds"]?.object?.members ?? []).map { [$0.key, "\($0.value.int ?? 0)"] }
        var text = ClientOutput.table(["WHAT", isDryRun ? "THERE" : "BROUGHT OVER"], rows)
        let projects = (report["projects"]?.array ?? []).compactMap(\.string)
        text += "projects: \(projects.joined(separator: ", "))\n"
        for problem in (report["problems"]?.array ?? []).compactMap(\.string) { text += "note: \(problem)\n" }
        return String(text.dropLast())
    }
}
