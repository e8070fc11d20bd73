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
    @OptionGroup var options: ImportOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let report = try await send(try FeastRegistryFile.read(ImportOptions.path(ofSQLite: from) ?? from))
            options.output.show(report) { table(report) }
        }
    }

    private func send(_ registry: [UInt8]) async throws(AerieError) -> JSONValue {
        let client = try options.server.client()
        var query = [("dry_run", options.dryRun ? "true" : "false")]
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

    private func table(_ report: JSONValue) -> String {
        let rows = (report["kinds"]?.object?.members ?? []).map { [$0.key, "\($0.value.int ?? 0)"] }
        var text = ClientOutput.table(["WHAT", options.newTitle], rows)
        let projects = (report["projects"]?.array ?? []).compactMap(\.string)
        text += "projects: \(projects.joined(separator: ", "))\n"
        for problem in (report["problems"]?.array ?? []).compactMap(\.string) { text += "note: \(problem)\n" }
        return text
    }
}
