import AerieCore
import AerieWire
import Datasets
import Foundation

/// Whole tables that are written where the SDK wants to find them again: saved datasets, and features that were logged.
extension FeastFlightService {
    /// Carries out a reading command, and keeps its rows as the Parquet file of a data source, instead of sending them.
    /// - Throws: `alreadyExists` if there is a file and it is not to be replaced; `unsupported` for a source that is no
    ///   Parquet file.
    func persist(_ upload: Upload) async throws(AerieError) {
        let command = upload.command
        let name = try command.text("data_source_name")
        let path = try Self.file(uri: try await location(ofSource: name).uri, name: name)
        let isThere = FileManager.default.fileExists(atPath: path)
        guard !isThere || command.flag("allow_overwrite") else {
            throw AerieError(
                .alreadyExists,
                "Saved dataset location \(path) already exists; say allow_overwrite to replace it",
                reason: FeastFailure.reason("SavedDatasetLocationAlreadyExists"))
        }
        try Self.makeFolder(of: path)
        let new = "\(path).\(UUID().uuidString).new"
        defer { try? FileManager.default.removeItem(atPath: new) }
        switch try command.text("retrieve_func") {
        case "get_historical_features": try await historical(command, upload, output: new)
        case let word where word.hasPrefix("pull_latest") || word.hasPrefix("pull_all"):
            let sql = try await pull(
                command, isLatest: word.hasPrefix("pull_latest"), engine: upload.engine)
            try await upload.engine.execute("COPY (\(sql)) TO \(sqlString(new)) (FORMAT parquet)")
        case let word: throw AerieError(.unsupported, "Unknown read API: \(word)")
        }
        try await writes.run { () throws(AerieError) in try Self.replace(path, by: new) }
    }

    /// Adds rows to the folder that a feature service logs to, as a file of their own.
    func writeLoggedFeatures(_ upload: Upload) async throws(AerieError) {
        let name = try upload.command.text("feature_service_name")
        guard upload.columns != nil else { throw .invalid("", "there are no rows to write") }
        var places: Set<String> = []
        for project in try await registry.entries(.project, project: "") {
            guard let service = try await registry.entry(.featureService, name, project: project.object.name),
                let logging = try service.object.spec.message(7)
            else { continue }
            guard let destination = try logging.message(3) else {
                throw AerieError(
                    .unsupported, "feature service '\(name)' does not log to files; a FileLoggingDestination is written to")
            }
            places.insert(try Self.file(uri: destination.text(1), name: name))
        }
        guard let folder = places.first else {
            throw AerieError(
                .failedPrecondition, "no project has a feature service '\(name)' with a logging_config",
                reason: FeastFailure.reason("FeatureServiceNotFoundException"))
        }
        guard places.count == 1 else {
            throw AerieError(
                .failedPrecondition,
                "feature services '\(name)' of several projects log to \(places.sorted().joined(separator: ", "))")
        }
        let file = "\(folder)/\(UUID().uuidString).parquet"
        try Self.makeFolder(of: file)
        let new = "\(file).new"
        defer { try? FileManager.default.removeItem(atPath: new) }
        try await upload.engine.execute("COPY \(Self.upload) TO \(sqlString(new)) (FORMAT parquet)")
        try Self.replace(file, by: new)
    }

    /// A path on this machine, where it can be written to.
    private static func file(uri: String, name: String) throws(AerieError) -> String {
        let path = uri.hasPrefix("file://") ? String(uri.dropFirst("file://".count)) : uri
        guard path.hasPrefix("/"), !path.contains(where: { "*?[".contains($0) }), !path.contains(".csv") else {
            throw AerieError(
                .unsupported,
                "'\(name)' lies at \(uri.isEmpty ? "no file" : uri); a Parquet file with an absolute path is written to")
        }
        return path
    }

    private static func makeFolder(of path: String) throws(AerieError) {
        let folder = URL(fileURLWithPath: path).deletingLastPathComponent().path
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw AerieError(.failedPrecondition, "the folder \(folder) cannot be made", cause: error)
        }
    }
}
