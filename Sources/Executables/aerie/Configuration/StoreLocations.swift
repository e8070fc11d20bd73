import AerieCore
import StoreObjects

/// Where the metadata is kept: in the data folder, or in a database server.
enum MetadataLocation: Sendable, Equatable {
    case sqlite
    /// A connection string `postgresql://user@host:port/database`. It may hold a password and is never shown.
    case postgres(String)

    init(_ text: String) throws(AerieError) {
        if text == "sqlite" {
            self = .sqlite
        } else if text.hasPrefix("postgresql://") || text.hasPrefix("postgres://") {
            self = .postgres(text)
        } else {
            throw .invalid(
                "",
                "\"\(text.prefix(24))\" is neither sqlite (in the data folder) nor a URL such as "
                    + "postgresql://user@host:5432/database")
        }
    }
}

/// Where artifacts are kept.
enum ArtifactLocation: Sendable, Equatable {
    /// `nil` is the folder `artifacts` of the data folder.
    case files(String?)
    /// A bucket of an object store: `s3://bucket/prefix`, `gs://bucket/prefix`.
    case objects(ObjectLocation)

    init(_ text: String) throws(AerieError) {
        if text == "files" {
            self = .files(nil)
        } else if text.hasPrefix("s3:") || text.hasPrefix("gs:") {
            self = .objects(try ObjectLocation(text))
        } else if text.contains("://") || text.isEmpty || text.utf8.contains(0) {
            throw .invalid(
                "",
                "\"\(text.prefix(80))\" is neither files (in the data folder), nor a folder, nor a bucket such as "
                    + "s3://bucket/prefix")
        } else {
            self = .files(text)
        }
    }
}
