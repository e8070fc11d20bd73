import AerieCore
import Experiments
import Foundation
import Imports

/// Artifacts on this machine's disk.
struct LocalArtifacts: Sendable {
    /// Where `mlflow-artifacts:/…` leads; `nil` if nobody said.
    let root: String?
    /// What paths that are not whole begin from.
    let folder: String

    /// The files below a location; `nil` if it is not on this machine.
    func files(at location: String) -> [ImportedFile]? {
        // Nowhere is not the folder that paths begin from.
        guard !location.isEmpty else { return [] }
        guard let place = place(of: location) else { return nil }
        var isFolder: ObjCBool = false
        // Runs without artifacts have no folder.
        guard FileManager.default.fileExists(atPath: place, isDirectory: &isFolder), isFolder.boolValue else {
            return []
        }
        let names = FileManager.default.enumerator(atPath: place)?.compactMap { $0 as? String } ?? []
        return names.sorted().compactMap { name in
            let file = place + "/" + name
            guard let attributes = try? FileManager.default.attributesOfItem(atPath: file),
                attributes[.type] as? FileAttributeType == .typeRegular, let size = attributes[.size] as? Int64
            else { return nil }
            return ImportedFile(path: name, size: size, place: file)
        }
    }

    private func place(of location: String) -> String? {
        if location.hasPrefix("mlflow-artifacts:") {
            guard let root, let path = try? ArtifactPath(location: location) else { return nil }
            return root + "/" + path.description
        }
        if location.hasPrefix("file://") { return URL(string: location)?.path }
        if location.hasPrefix("/") { return location }
        if location.contains(":/") { return nil }
        return folder + "/" + location
    }

    /// Hands a file over in pieces.
    static func read(
        _ file: ImportedFile,
        into body: (_ next: () async throws(AerieError) -> [UInt8]?) async throws(AerieError) -> Void
    ) async throws(AerieError) {
        guard let handle = FileHandle(forReadingAtPath: file.place) else {
            throw AerieError(.unavailable, "cannot read \(file.place)")
        }
        defer { try? handle.close() }
        try await body { () async throws(AerieError) in
            do {
                guard let data = try handle.read(upToCount: 1 << 20), !data.isEmpty else { return nil }
                return Array(data)
            } catch { throw AerieError(.unavailable, "cannot read \(file.place)", cause: error) }
        }
    }
}
