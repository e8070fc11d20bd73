import AerieCore
import AerieJSON
import ArgumentParser
import Foundation

struct RunsTag: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tag", abstract: "Set tags of a run, or remove them.")

    @Argument(help: "The run.") var reference: String
    @Argument(help: "KEY=VALUE, or KEY- to remove one.") var tags: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let changes = try TagChange.all(tags)
            let tracking = try server.tracking()
            let id = try await tracking.runID(reference)
            try await tracking.apply(changes, to: ["run_id": .string(id)], set: "runs/set-tag") {
                body throws(AerieError) in try await tracking.send("runs/delete-tag", body)
            }
            print("run \(id) tagged")
        }
    }
}

struct RunsDelete: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "delete", abstract: "Delete runs; `restore` brings them back until `gc`.")

    @Argument(help: "The runs.") var references: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws { try await RunsChange.each(references, server, "runs/delete", "deleted") }
}

struct RunsRestore: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "restore", abstract: "Bring deleted runs back.")

    @Argument(help: "The runs.") var references: [String]
    @OptionGroup var server: ServerOptions

    func run() async throws { try await RunsChange.each(references, server, "runs/restore", "restored") }
}

/// One change to each of several runs; all are looked up before the first is changed.
private enum RunsChange {
    static func each(_ references: [String], _ server: ServerOptions, _ path: String, _ word: String) async throws {
        try await ClientOutput.reporting {
            let tracking = try server.tracking()
            var runs: [RunRecord] = []
            for reference in references { runs.append(RunRecord(try await tracking.run(reference))) }
            for run in runs {
                try await tracking.send(path, ["run_id": .string(run.id)])
                print("run \(run.id) \"\(run.name.visible)\" \(word)")
            }
        }
    }
}

struct RunsArtifacts: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "artifacts", abstract: "List, download and upload a run's files.",
        subcommands: [RunsArtifactsList.self, RunsArtifactsDownload.self, RunsArtifactsUpload.self],
        defaultSubcommand: RunsArtifactsList.self)
}

extension TrackingClient {
    func artifacts(of run: String) async throws(AerieError) -> TrackingArtifacts {
        try TrackingArtifacts(client: client, location: RunRecord(try await self.run(run)).artifactURI)
    }
}

struct RunsArtifactsList: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "list", abstract: "List a run's files.")

    @Argument(help: "The run.") var reference: String
    @Argument(help: "Only below this folder.") var path = ""
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let files = try await server.tracking().artifacts(of: reference).files(below: path)
            if files.isEmpty, output.format == .table { return ClientOutput.note("no files found") }
            output.show(.array(files.map { ["path": .string($0.path), "file_size": .int($0.size)] })) {
                var table = TextTable(["size", "path"], numbers: [0])
                for file in files { table.add([GCCommand.size(file.size), file.path]) }
                return table.text(width: Terminal.width)
            }
        }
    }
}

struct RunsArtifactsDownload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "download", abstract: "Download a run's files into a folder.")

    @Argument(help: "The run.") var reference: String
    @Argument(help: "A file or folder of the run; else all.") var path = ""
    @Option(name: .customLong("to"), help: "The folder, made if it is not there.") var folder = "."
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let artifacts = try await server.tracking().artifacts(of: reference)
            try await ArtifactTransfer.download(artifacts, below: path, to: folder)
        }
    }
}

struct RunsArtifactsUpload: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "upload", abstract: "Upload a file, or a folder with all in it, to a run.")

    @Argument(help: "The run.") var reference: String
    @Argument(help: "The file or folder.") var source: String
    @Option(name: .customLong("path"), help: "The folder of the run to put it into.") var path = ""
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            let artifacts = try await server.tracking().artifacts(of: reference)
            try await ArtifactTransfer.upload(source, to: artifacts, below: path)
        }
    }
}

/// Many files one after the other, with progress on a terminal.
enum ArtifactTransfer {
    static func download(
        _ artifacts: TrackingArtifacts, below path: String, to folder: String
    ) async throws(AerieError) {
        let files = try await artifacts.files(below: path)
        guard !files.isEmpty else {
            throw .notFound(path.isEmpty ? "there are no files" : "there is no file or folder \"\(path.visible)\"")
        }
        let total = files.reduce(0) { $0 + $1.size }
        var done: Int64 = 0
        var progress = ProgressLine()
        defer { progress.clear() }
        for file in files {
            let target = URL(fileURLWithPath: folder).appendingPathComponent(file.path)
            do {
                try FileManager.default.createDirectory(
                    at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
            } catch { throw .invalid("", "\(folder.visible) cannot be written") }
            try await artifacts.download(file, to: target.path) { bytes in
                done += bytes
                progress.show(
                    "\(GCCommand.size(done)) of \(GCCommand.size(total))", share: Double(done) / Double(max(total, 1)))
            }
        }
        progress.clear()
        print("\(files.count) \(files.count == 1 ? "file" : "files"), \(GCCommand.size(total)), in \(folder.visible)")
    }

    static func upload(
        _ source: String, to artifacts: TrackingArtifacts, below path: String
    ) async throws(AerieError) {
        let base = URL(fileURLWithPath: source).standardizedFileURL
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: base.path, isDirectory: &isFolder) else {
            throw .notFound("there is no file \(source.visible)")
        }
        var names = [""]
        if isFolder.boolValue {
            names = (FileManager.default.subpaths(atPath: base.path) ?? []).sorted().filter { name in
                var isInner: ObjCBool = false
                let inner = base.appendingPathComponent(name).path
                return FileManager.default.fileExists(atPath: inner, isDirectory: &isInner) && !isInner.boolValue
            }
        }
        guard !names.isEmpty else { throw .invalid("", "the folder \(source.visible) holds no files") }
        var progress = ProgressLine()
        defer { progress.clear() }
        for (index, name) in names.enumerated() {
            progress.show("\(index) of \(names.count) files", share: Double(index) / Double(names.count))
            let place = name.isEmpty ? base.path : base.appendingPathComponent(name).path
            let target = name.isEmpty ? base.lastPathComponent : name
            try await artifacts.upload(place, to: path.isEmpty ? target : "\(path)/\(target)")
        }
        progress.clear()
        print("\(names.count) \(names.count == 1 ? "file" : "files") uploaded")
    }
}
