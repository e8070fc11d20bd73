public import AerieCore
import CPostgres

/// libpq, PostgreSQL's own client library, which is opened when it is needed.
public enum PostgresLibrary {
    /// Opens the library; the first success lasts.
    /// - Throws: `unavailable` with the command that installs it.
    static func load() throws(AerieError) {
        guard let problem = cpg_load() else { return }
        throw AerieError(
            .unavailable,
            "PostgreSQL's client library is not available: \(String(cString: problem)). `scripts/bootstrap` or "
                + "`apt-get install libpq5` installs it.", reason: "native.libpq")
    }

    /// Such as `15.3`.
    /// - Throws: `unavailable` if it is not there.
    public static func version() throws(AerieError) -> String {
        try load()
        let number = cpg_version()
        return "\(number / 10_000).\(number % 10_000)"
    }
}
