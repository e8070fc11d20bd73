import AerieCore
import ArgumentParser
import Foundation

/// `-f FILE`, several times, `-` for the standard input, a folder for the manifests in it.
struct ManifestOptions: ParsableArguments {
    @Option(
        name: [.customShort("f"), .customLong("filename")],
        help: "A file, a folder of manifests, or - for the standard input.")
    var files: [String] = []

    /// One text that was named.
    struct Source: Sendable {
        var name: String
        var text: String
        /// The absolute path of its file's folder, where relative file paths count from; none for the standard input.
        var folder: String?
    }

    /// Everything named, in order; a folder's files by name.
    /// - Throws: `notFound` for what is not there, `invalidArgument` for a folder without manifests and for text that
    ///   is not UTF-8.
    func read() throws(AerieError) -> [Source] {
        guard !files.isEmpty else { throw .invalid("", "name a manifest: -f FILE, -f FOLDER or -f -") }
        var sources: [Source] = []
        for file in files { sources += try Self.read(file) }
        return sources
    }

    private static func read(_ file: String) throws(AerieError) -> [Source] {
        if file == "-" {
            let data = FileHandle.standardInput.readDataToEndOfFile()
            return [Source(name: "standard input", text: try decode(data, "the standard input"))]
        }
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: file, isDirectory: &isFolder) else {
            throw .notFound("there is no file \(file)")
        }
        guard isFolder.boolValue else { return [try load(file)] }
        let names = ((try? FileManager.default.contentsOfDirectory(atPath: file)) ?? []).sorted()
            .filter { $0.hasSuffix(".yaml") || $0.hasSuffix(".yml") || $0.hasSuffix(".json") }
        guard !names.isEmpty else { throw .invalid("", "the folder \(file) holds no .yaml, .yml or .json file") }
        var sources: [Source] = []
        for name in names { sources.append(try load("\(file)/\(name)")) }
        return sources
    }

    private static func load(_ file: String) throws(AerieError) -> Source {
        guard let data = FileManager.default.contents(atPath: file) else {
            throw AerieError(.permissionDenied, "\(file) cannot be read")
        }
        let folder = URL(fileURLWithPath: file).standardizedFileURL.deletingLastPathComponent().path
        return Source(name: file, text: try decode(data, file), folder: folder)
    }

    private static func decode(_ data: Data, _ name: String) throws(AerieError) -> String {
        guard let text = String(validating: data, as: UTF8.self) else {
            throw .invalid("", "\(name) is not UTF-8 text")
        }
        return text
    }
}
