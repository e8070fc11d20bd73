import AerieCore
import Foundation
import Imports
import ReadMLflow

/// What an import is brought over from: a server by its address, or a database or folder on this machine.
enum ImportOrigin {
    /// - Parameter artifacts: the folder of a server's artifacts, beside its database.
    static func open(_ from: String, artifacts: String?) throws(AerieError) -> any ImportSource {
        if ["http://", "https://"].contains(where: { from.lowercased().hasPrefix($0) }) {
            guard artifacts == nil else {
                throw .invalid("artifacts", "goes with a database file; a server serves its artifacts itself")
            }
            return try MLflowServerSource(address: from)
        }
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: from, isDirectory: &isFolder), isFolder.boolValue {
            return try MLflowFolderSource(path: from, artifacts: artifacts)
        }
        return try MLflowDatabaseSource(path: from, artifacts: artifacts)
    }
}
