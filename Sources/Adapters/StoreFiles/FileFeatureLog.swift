public import AerieCore
public import Features
import Foundation

/// Records as lines of files, below one folder: the newest half of each log in `NAME.log`, the one before it in
/// `NAME.log.1`, which goes when the newer one is full.
public final class FileFeatureLog: FeatureLog {
    private let root: String
    private let bound: Int64
    private let queue = DispatchQueue(label: "aerie.feature-log")

    /// - Parameters:
    ///   - root: the folder, made if it is not there.
    ///   - bound: the greatest size of one log in bytes; a record that is longer than half of it is refused.
    public init(root: String, bound: Int64 = 32 << 20) throws(AerieError) {
        self.root = root
        self.bound = bound
        do { try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true) } catch {
            throw AerieError(.unavailable, "cannot make the folder \(root)", cause: error)
        }
    }

    public func append(_ log: String, _ records: [[UInt8]]) async throws(AerieError) {
        if records.isEmpty { return }
        var bytes: [UInt8] = []
        for record in records {
            guard !record.contains(0x0a), record.count < bound / 2 else {
                throw .invalid("", "a record is one line of less than \(bound / 2) bytes")
            }
            bytes += record
            bytes.append(0x0a)
        }
        let (path, content) = (try path(log), bytes)
        try await run { () throws(AerieError) in try self.append(content, path) }
    }

    public func read(_ log: String, last limit: Int) async throws(AerieError) -> [[UInt8]] {
        let path = try path(log)
        return try await run { () throws(AerieError) in
            var lines = Self.lines(path)
            if lines.count < limit { lines = Self.lines(path + ".1") + lines }
            return Array(lines.suffix(max(0, limit)))
        }
    }

    public func names(_ prefix: String) async throws(AerieError) -> [String] {
        let root = root
        return try await run { () throws(AerieError) in
            let files = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            return files.filter { $0.hasSuffix(".log") && $0.hasPrefix(prefix) }.map { String($0.dropLast(4)) }.sorted()
        }
    }

    public func remove(_ log: String) async throws(AerieError) {
        let path = try path(log)
        try await run { () throws(AerieError) in
            for file in [path, path + ".1"] { try? FileManager.default.removeItem(atPath: file) }
        }
    }

    public func size() async throws(AerieError) -> Int64 {
        let root = root
        return try await run { () throws(AerieError) in
            let files = FileManager.default.enumerator(atPath: root)?.compactMap { $0 as? String } ?? []
            return files.reduce(0) { $0 + Self.size(root + "/" + $1) }
        }
    }

    // MARK: Inside

    /// Names are those of resources with slashes between; nothing leads out of the folder.
    private func path(_ log: String) throws(AerieError) -> String {
        let parts = log.split(separator: "/", omittingEmptySubsequences: false)
        let isPlain = parts.allSatisfy { part in
            !part.isEmpty && part != "." && part != ".."
                && part.utf8.allSatisfy { $0 > 0x20 && $0 != 0x7f && $0 != UInt8(ascii: "\\") }
        }
        guard isPlain else { throw .invalid("", "\"\(log.prefix(80))\" is no name of a log") }
        return "\(root)/\(log).log"
    }

    private func append(_ bytes: [UInt8], _ path: String) throws(AerieError) {
        let folder = (path as NSString).deletingLastPathComponent
        do {
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            if Self.size(path) + Int64(bytes.count) > bound / 2, Self.size(path) > 0 {
                guard rename(path, path + ".1") == 0 else { throw AerieError(.unavailable, "cannot rename \(path)") }
            }
            let descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
            guard descriptor >= 0 else { throw AerieError(.unavailable, "cannot open \(path)") }
            defer { close(descriptor) }
            // What a crash has cut off must not run into what comes now.
            var last: UInt8 = 0x0a
            let size = Self.size(path)
            if size > 0 { _ = pread(descriptor, &last, 1, off_t(size - 1)) }
            let bytes = last == 0x0a ? bytes : [0x0a] + bytes
            var done = 0
            while done < bytes.count {
                let count = bytes.withUnsafeBytes {
                    Foundation.write(descriptor, $0.baseAddress! + done, $0.count - done)
                }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { throw AerieError(.unavailable, "cannot write to \(path): error \(errno)") }
                done += count
            }
            guard fsync(descriptor) == 0 else { throw AerieError(.unavailable, "cannot sync \(path)") }
        } catch let error as AerieError { throw error } catch {
            throw AerieError(.unavailable, "cannot write to \(path)", cause: error)
        }
    }

    /// The whole lines of a file; a last one that was cut off by a crash is not one.
    private static func lines(_ path: String) -> [[UInt8]] {
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        var lines = data.split(separator: 0x0a, omittingEmptySubsequences: false).map { [UInt8]($0) }
        lines.removeLast()
        return lines.filter { !$0.isEmpty }
    }

    private static func size(_ path: String) -> Int64 {
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return 0 }
        return Int64(status.st_size)
    }

    private func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(AerieError) -> Value
    ) async throws(AerieError) -> Value {
        let result = await withCheckedContinuation { (done: CheckedContinuation<Result<Value, AerieError>, Never>) in
            queue.async {
                do throws(AerieError) { done.resume(returning: .success(try body())) } catch {
                    done.resume(returning: .failure(error))
                }
            }
        }
        return try result.get()
    }
}
