import AerieCore
import AerieJSON
import Crypto
import Dispatch
import Foundation
import Synchronization

/// The files of runs: `<root>/<run>/<step>/step.log` and a work folder `<root>/<run>/<step>/<attempt>` for each
/// attempt.
///
/// All that touches many bytes runs on a queue of its own, never on the cooperative pool.
final class StepFolders: Sendable {
    let root: String
    private let queue = DispatchQueue(label: "aerie.pipelines.files", qos: .utility)
    /// Digests of files outside, by path, with what shows that a file has not changed since.
    private let known = Mutex<[String: (stamp: String, digest: String)]>([:])
    private static let knownLimit = 10_000

    init(root: String) { self.root = root }

    func logPath(run: String, step: String) -> String { "\(root)/\(run)/\(step)/step.log" }

    func absolute(_ artifact: StepArtifact) -> String { "\(root)/\(artifact.path)" }

    /// A new, empty work folder; whatever an earlier process left there is gone.
    func prepare(run: String, step: String, attempt: Int) async throws(AerieError) -> String {
        let path = "\(root)/\(run)/\(step)/\(attempt)"
        try await offPool { () throws(AerieError) in
            do {
                if FileManager.default.fileExists(atPath: path) { try FileManager.default.removeItem(atPath: path) }
                try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
            } catch { throw AerieError(.unavailable, "cannot make the work folder \(path): \(error)", cause: error) }
        }
        return path
    }

    /// Deletes everything of a run. Nothing to delete is fine.
    func remove(run: String) async throws(AerieError) {
        let path = "\(root)/\(run)"
        try await offPool { () throws(AerieError) in
            guard FileManager.default.fileExists(atPath: path) else { return }
            do { try FileManager.default.removeItem(atPath: path) } catch {
                throw AerieError(.unavailable, "cannot delete the run's folder \(path): \(error)", cause: error)
            }
        }
    }

    /// What a step gave, with the digests of its files.
    /// - Throws: `internal` naming an artifact that is not there, or not in the work folder.
    func collect(_ result: StepResult, run: String, step: String, attempt: Int) async throws(AerieError) -> CachedStep {
        let prefix = "\(run)/\(step)/\(attempt)"
        let root = root
        let artifacts = try await offPool { () throws(AerieError) -> [String: StepArtifact] in
            var artifacts: [String: StepArtifact] = [:]
            for (name, path) in result.artifacts {
                let isInside = !path.hasPrefix("/") && !path.split(separator: "/").contains("..") && !path.isEmpty
                guard isInside else {
                    throw AerieError(.internal, "artifact '\(name)' is at '\(path)', which is not under the work folder")
                }
                guard let content = try ContentDigest.of("\(root)/\(prefix)/\(path)") else {
                    throw AerieError(.internal, "artifact '\(name)' was not written: there is no '\(path)' in the work folder")
                }
                artifacts[name] = StepArtifact(path: "\(prefix)/\(path)", digest: content.digest, bytes: content.bytes)
            }
            return artifacts
        }
        return CachedStep(
            runID: run, artifacts: artifacts, values: result.values, params: result.params, metrics: result.metrics,
            logged: result.logged)
    }

    /// Whether every file of cached results is still there.
    func exist(_ artifacts: [String: StepArtifact]) -> Bool {
        artifacts.values.allSatisfy { FileManager.default.fileExists(atPath: absolute($0)) }
    }

    /// SHA-256 over the step's kind and version, its parameters (artifacts stand in them as their digests), and the
    /// content of every file outside that a parameter names, patterns with `*` included.
    func cacheKey(namespace: String, step: any Step, parameters: JSONObject) async throws(AerieError) -> String {
        var paths: [String] = []
        JSONValue.object(parameters).forEachString(path: "") { text, _ in
            if text.utf8.count < 4096, text.contains("/") || text.contains("."), !text.contains("\n") { paths.append(text) }
        }
        let (kind, version) = (step.name, step.version)
        return try await offPool { [paths] () throws(AerieError) in
            var files = JSONObject()
            for path in paths.flatMap(Self.expand) where files[path] == nil {
                if let digest = try self.digest(ofFile: path) { files[path] = .string(digest) }
            }
            let key: JSONObject = [
                "format": 1, "namespace": .string(namespace), "uses": .string(kind), "version": .int(Int64(version)),
                "parameters": .object(parameters), "files": .object(files),
            ]
            return ContentDigest.hex(SHA256.hash(data: Array(JSONValue.object(key).canonical.text().utf8)))
        }
    }

    private func digest(ofFile path: String) throws(AerieError) -> String? {
        guard let info = try? FileManager.default.attributesOfItem(atPath: path),
            info[.type] as? FileAttributeType == .typeRegular
        else { return nil }
        let time = (info[.modificationDate] as? Date)?.timeIntervalSince1970 ?? 0
        let stamp = "\(info[.systemFileNumber] ?? "") \(info[.size] ?? "") \(time)"
        if let entry = known.withLock({ $0[path] }), entry.stamp == stamp { return entry.digest }
        let digest = try ContentDigest.of(path)?.digest
        known.withLock {
            if $0.count >= Self.knownLimit { $0.removeAll() }
            $0[path] = digest.map { (stamp, $0) }
        }
        return digest
    }

    private static func expand(_ pattern: String) -> [String] {
        guard pattern.contains("*"), !pattern.contains(" ") else { return [pattern] }
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let paths = found.gl_pathv else { return [] }
        return (0..<min(Int(found.gl_pathc), 10_000)).compactMap { paths[$0].map { String(cString: $0) } }
    }

    private func offPool<Value: Sendable>(
        _ body: @escaping @Sendable () throws(AerieError) -> Value
    ) async throws(AerieError) -> Value {
        let result: Result<Value, AerieError> = await withCheckedContinuation { continuation in
            queue.async {
                do throws(AerieError) { continuation.resume(returning: .success(try body())) }
                catch { continuation.resume(returning: .failure(error)) }
            }
        }
        return try result.get()
    }
}

/// The SHA-256 of what a file or a folder holds. Blocks while it reads.
enum ContentDigest {
    /// `nil` if there is nothing at the path.
    static func of(_ path: String) throws(AerieError) -> (digest: String, bytes: Int64)? {
        var isFolder: ObjCBool = false
        guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else { return nil }
        guard isFolder.boolValue else {
            let file = try ofFile(path)
            return (hex(file.digest), file.bytes)
        }
        var whole = SHA256()
        var bytes: Int64 = 0
        guard let names = FileManager.default.enumerator(atPath: path) else {
            throw AerieError(.unavailable, "cannot read the folder \(path)")
        }
        for name in names.compactMap({ $0 as? String }).sorted() {
            var isInnerFolder: ObjCBool = false
            let inner = "\(path)/\(name)"
            guard FileManager.default.fileExists(atPath: inner, isDirectory: &isInnerFolder), !isInnerFolder.boolValue
            else { continue }
            let file = try ofFile(inner)
            whole.update(data: Array("\(name)\u{0}\(hex(file.digest))\n".utf8))
            bytes += file.bytes
        }
        return (hex(whole.finalize()), bytes)
    }

    static func hex(_ digest: SHA256.Digest) -> String {
        digest.map { $0 < 16 ? "0" + String($0, radix: 16) : String($0, radix: 16) }.joined()
    }

    private static func ofFile(_ path: String) throws(AerieError) -> (digest: SHA256.Digest, bytes: Int64) {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw AerieError(.unavailable, "cannot read \(path): \(String(cString: strerror(errno)))") }
        defer { close(file) }
        var hash = SHA256()
        var total: Int64 = 0
        let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
        defer { chunk.deallocate() }
        while true {
            let count = read(file, chunk.baseAddress, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw AerieError(.unavailable, "cannot read \(path): \(String(cString: strerror(errno)))") }
            if count == 0 { return (hash.finalize(), total) }
            hash.update(bufferPointer: UnsafeRawBufferPointer(rebasing: chunk[0..<count]))
            total += Int64(count)
        }
    }
}

extension JSONValue {
    /// The same value with the members of every object in the order of their names.
    var canonical: JSONValue {
        switch self {
        case .array(let elements): .array(elements.map(\.canonical))
        case .object(let object):
            .object(JSONObject(object.members.sorted { $0.key < $1.key }.map { ($0.key, $0.value.canonical) }))
        default: self
        }
    }
}
