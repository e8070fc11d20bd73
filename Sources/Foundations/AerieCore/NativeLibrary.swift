#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A library that Aerie opens at run time. It may be missing: that costs one ability and never stops the server.
public enum NativeLibrary: String, Sendable, CaseIterable {
    case duckDB = "duckdb"
    case onnxRuntime = "onnxruntime"
    case lightGBM = "lightgbm"
    /// DuckDB's library is an extension module of Python and wants its symbols; no interpreter is started.
    case libpython = "libpython"

    /// The command that installs every one of them.
    public static let installCommand = "scripts/bootstrap"

    /// What needs it, as the end of a sentence: without it that cannot be done.
    public var cost: String {
        switch self {
        case .duckDB: "SQL over CSV and Parquet: the ingest, validate and features steps, and offline features"
        case .onnxRuntime: "serving ONNX models"
        case .lightGBM: "the train step (serving LightGBM models does not need it)"
        case .libpython: "DuckDB, which wants its symbols"
        }
    }

    public var title: String {
        switch self {
        case .duckDB: "DuckDB"
        case .onnxRuntime: "ONNX Runtime"
        case .lightGBM: "LightGBM"
        case .libpython: "libpython 3.11"
        }
    }

    /// How its file's name begins; what follows is a version or a platform.
    var filePrefix: String {
        switch self {
        case .duckDB: "_duckdb."
        case .onnxRuntime: "libonnxruntime.so"
        case .lightGBM: "lib_lightgbm.so"
        case .libpython: "libpython3.11.so"
        }
    }
}

/// Finds native libraries in the folders where `scripts/bootstrap` puts them.
public enum NativeLibraries {
    /// Where libraries are looked for, the first first: `folder` alone if it is given, `AERIE_NATIVE_DIR` alone if it
    /// is set, else `.native` in the working directory and in up to four folders above the executable's.
    public static func folders(_ folder: String? = nil) -> [String] {
        if let folder { return [folder] }
        if let set = getenv("AERIE_NATIVE_DIR").map({ String(cString: $0) }), !set.isEmpty { return [set] }
        var found: [String] = []
        if let working = workingDirectory() { found.append(working + "/.native") }
        if var parent = executableFolder() {
            for _ in 0..<5 {
                let candidate = (parent == "/" ? "" : parent) + "/.native"
                if !found.contains(candidate) { found.append(candidate) }
                guard let slash = parent.lastIndex(of: "/"), slash != parent.startIndex else { break }
                parent = String(parent[..<slash])
            }
        }
        return found
    }

    /// The path of a library's file. A few system calls; any thread.
    /// - Parameter folder: the only folder to look in, in place of the usual ones.
    /// - Throws: `unavailable`, naming what the lack costs, where it was looked for and the command that installs it.
    public static func locate(_ library: NativeLibrary, in folder: String? = nil) throws(AerieError) -> String {
        let folders = folders(folder)
        for candidate in folders {
            if let file = file(of: library, in: candidate) { return candidate + "/" + file }
        }
        throw missing(library, "it is not in \(folders.joined(separator: ", "))")
    }

    /// The error for a library that is not there or does not load, which `problem` tells.
    public static func missing(_ library: NativeLibrary, _ problem: String) -> AerieError {
        AerieError(
            .unavailable,
            "\(library.title) is not available: \(problem). It is needed for \(library.cost). "
                + "`\(NativeLibrary.installCommand)` installs it.",
            reason: "native.\(library.rawValue)",
            details: [AerieError.Detail(field: library.rawValue, problem: problem)])
    }

    /// The library's file in a folder; the last by name, if there are several.
    private static func file(of library: NativeLibrary, in folder: String) -> String? {
        guard let directory = opendir(folder) else { return nil }
        defer { closedir(directory) }
        var best: String?
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            guard name.hasPrefix(library.filePrefix), access(folder + "/" + name, R_OK) == 0 else { continue }
            if best.map({ $0 < name }) ?? true { best = name }
        }
        return best
    }

    private static func workingDirectory() -> String? {
        guard let path = getcwd(nil, 0) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    private static func executableFolder() -> String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        let text = String(cString: path)
        guard let slash = text.lastIndex(of: "/") else { return nil }
        return slash == text.startIndex ? "/" : String(text[..<slash])
    }
}
