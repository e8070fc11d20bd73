public import AerieCore
import CLMDB

/// The library of LMDB, which is opened when it is needed.
public enum LMDBLibrary {
    /// Opens the library; the first success lasts.
    /// - Throws: `unavailable` with the command that installs it.
    static func load() throws(AerieError) {
        guard let problem = clmdb_load() else { return }
        throw AerieError(
            .unavailable,
            "LMDB is not available: \(String(cString: problem)). It is needed for the online feature store. "
                + "`scripts/bootstrap` installs it.", reason: "native.lmdb")
    }

    /// Such as `0.9.24`.
    /// - Throws: `unavailable` if it is not there.
    public static func version() throws(AerieError) -> String {
        try load()
        var (major, minor, patch): (CInt, CInt, CInt) = (0, 0, 0)
        clmdb_version(&major, &minor, &patch)
        return "\(major).\(minor).\(patch)"
    }
}
