import AerieCore
import AerieJSON
import ArgumentParser

/// What every import is told, and how it tells what it did.
struct ImportOptions: ParsableArguments {
    @Flag(help: "Count what there is, and change nothing.") var dryRun = false
    @OptionGroup var output: TrackingOutput
    @OptionGroup var server: ServerOptions

    /// What heads the column of what was new.
    var newTitle: String { dryRun ? "THERE" : "BROUGHT OVER" }

    /// The path of a file that is named as SQLAlchemy does: four slashes are an absolute path, three one from here.
    static func path(ofSQLite text: String) -> String? {
        text.hasPrefix("sqlite:///") ? String(text.dropFirst("sqlite:///".count)) : nil
    }
}
