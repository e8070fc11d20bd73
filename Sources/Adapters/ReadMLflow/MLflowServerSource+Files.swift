public import AerieCore
import AerieJSON
import Experiments
public import Imports

extension MLflowServerSource {
    private static let artifacts = "/api/2.0/mlflow-artifacts/artifacts"

    public func files(at location: String) async throws(AerieError) -> [ImportedFile]? {
        guard !location.isEmpty else { return [] }
        guard location.hasPrefix("mlflow-artifacts:"), let root = try? ArtifactPath(location: location) else {
            return nil
        }
        var files: [ImportedFile] = []
        var folders = [""]
        do throws(AerieError) {
            while !folders.isEmpty {
                let listed = try await together(folders) { folder throws(AerieError) in
                    (folder, try await self.list(root.description + (folder.isEmpty ? "" : "/" + folder)))
                }
                folders = []
                for (folder, entries) in listed {
                    for entry in entries {
                        let path = folder.isEmpty ? entry.name : folder + "/" + entry.name
                        if entry.isFolder {
                            folders.append(path)
                        } else {
                            files.append(
                                ImportedFile(path: path, size: entry.size, place: root.description + "/" + path))
                        }
                    }
                }
            }
        } catch {
            // A server that does not serve artifacts says so with 503 or 404, and what has none has no folder.
            guard error.code == .notFound else { throw error }
            return folders == [""] ? [] : files
        }
        return files.sorted { $0.path < $1.path }
    }

    private func list(_ path: String) async throws(AerieError) -> [(name: String, isFolder: Bool, size: Int64)] {
        let answer = try await server.get(Self.artifacts, [("path", path)])
        return (answer["files"]?.array ?? []).compactMap { file in
            guard let name = file["path"]?.string.flatMap({ $0.split(separator: "/").last }) else { return nil }
            return (String(name), file["is_dir"]?.bool ?? false, file.integer("file_size") ?? 0)
        }
    }

    public func read(
        _ file: ImportedFile,
        into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        let path = file.place.split(separator: "/").map { MLflowServer.escaped(String($0)) }.joined(separator: "/")
        try await server.download(Self.artifacts + "/" + path, into: body)
    }
}
