import AerieCore

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Models whose files came with the request that loads them. They last as long as the process.
struct UploadedModels: Sendable {
    let folder: String

    /// Writes the files of a model, and gives back the path of the newest version's.
    /// - Parameter files: content by `version/name`.
    /// - Throws: `invalidArgument` for a name that is no `version/name`, or a version of several files.
    func write(_ model: String, _ files: [String: [UInt8]], generation: UInt64) throws(AerieError) -> String {
        var newest: (version: Int, name: String, content: [UInt8])?
        for (path, content) in files {
            let parts = path.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let version = Int(parts[0]), version > 0, !parts[1].isEmpty, parts[1] != "..",
                parts[1] != ".", !parts[1].contains("\0")
            else {
                throw .invalid("parameters.file:\(path)", "is no version/name, such as file:1/model.onnx")
            }
            if let other = newest, other.version == version {
                throw .invalid("parameters.file:\(path)", "version \(version) has several files; a model is one")
            }
            if newest.map({ version > $0.version }) ?? true { newest = (version, String(parts[1]), content) }
        }
        guard let newest else { throw .invalid("parameters", "there is no file") }
        // A folder of its own for each upload: the one before may be in use.
        let safe = String(model.map { $0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" ? $0 : "_" })
        let target = "\(folder)/\(safe)-\(generation)/\(newest.version)"
        var built = target.hasPrefix("/") ? "" : "."
        for part in target.split(separator: "/") {
            built += "/\(part)"
            mkdir(built, 0o700)
        }
        let file = "\(target)/\(newest.name)"
        guard let handle = fopen(file, "wb") else {
            throw AerieError(.unavailable, "cannot write \(file): \(String(cString: strerror(errno)))")
        }
        let written = newest.content.withUnsafeBytes { fwrite($0.baseAddress, 1, $0.count, handle) }
        guard fclose(handle) == 0, written == newest.content.count else {
            throw AerieError(.unavailable, "cannot write \(file): \(String(cString: strerror(errno)))")
        }
        return file
    }
}
