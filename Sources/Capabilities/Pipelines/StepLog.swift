public import AerieCore
import Foundation
import Synchronization

/// The log of one step: a text file that lines are added to, each with its time.
///
/// Lines may come from any thread; each is in the file when `line` returns. Nothing is added beyond 64 MiB.
final class StepLog: Sendable {
    private struct File {
        var descriptor: Int32
        var bytes: Int
    }

    static let limit = 64 << 20
    private let file: Mutex<File>
    private let clock: any WallClock

    init(path: String, clock: any WallClock) throws(AerieError) {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        try? FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            throw AerieError(.unavailable, "cannot open the step's log \(path): \(String(cString: strerror(errno)))")
        }
        file = Mutex(File(descriptor: descriptor, bytes: Int(lseek(descriptor, 0, SEEK_END))))
        self.clock = clock
    }

    deinit { file.withLock { _ = close($0.descriptor) } }

    func line(_ text: String) {
        let time = clock.now()
        let thousandths = String(1000 + time.milliseconds % 1000).dropFirst()
        let stamp = "\(time.iso8601.dropLast()).\(thousandths)Z "
        var out: [UInt8] = []
        for part in text.split(separator: "\n", omittingEmptySubsequences: false) {
            out += Array(stamp.utf8)
            out += Array(part.utf8)
            out.append(UInt8(ascii: "\n"))
        }
        file.withLock { file in
            guard file.bytes < Self.limit else { return }
            if file.bytes + out.count >= Self.limit {
                out = Array("\(stamp)the log is full at 64 MiB; the rest is left out\n".utf8)
            }
            file.bytes = file.bytes + out.count >= Self.limit - 100 ? Self.limit : file.bytes + out.count
            var rest = out[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(file.descriptor, $0.baseAddress, $0.count) }
                if count < 0, errno == EINTR { continue }
                guard count > 0 else { return }
                rest = rest.dropFirst(count)
            }
        }
    }
}

/// A part of a step's log.
public struct StepLogChunk: Sendable, Hashable {
    public var text: String
    /// Where the next part begins, in bytes.
    public var nextOffset: Int64
    /// Nothing will be added unless the run is retried.
    public var isComplete: Bool

    public init(text: String, nextOffset: Int64, isComplete: Bool) {
        self.text = text
        self.nextOffset = nextOffset
        self.isComplete = isComplete
    }

    /// Reads whole lines from `offset` on; the file may not be there yet.
    static func read(path: String, offset: Int64, limit: Int, isComplete: Bool) -> StepLogChunk {
        let none = StepLogChunk(text: "", nextOffset: offset, isComplete: isComplete)
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { return none }
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: limit)
        let count = bytes.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, off_t(offset)) }
        guard count > 0 else { return none }
        var end = count
        if !isComplete || count == limit, let newline = bytes[0..<count].lastIndex(of: UInt8(ascii: "\n")) {
            end = newline + 1
        }
        return StepLogChunk(
            text: String(decoding: bytes[0..<end], as: UTF8.self), nextOffset: offset + Int64(end),
            isComplete: isComplete && count < limit)
    }
}
