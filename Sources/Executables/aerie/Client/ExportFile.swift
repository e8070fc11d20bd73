import AerieCore
import Dispatch
import Foundation
import Synchronization

/// A file that appears under its name only when it is whole. Until then it lies beside it under a name of its own,
/// which goes when the work fails or the process is told to end by SIGINT or SIGTERM.
final class ExportFile: Sendable {
    let path: String
    /// Where the content goes until it is whole.
    let temporaryPath: String
    private let handle: FileHandle

    /// - Throws: `invalidArgument` where no file can be made there.
    init(path: String, suffix: String = "") throws(AerieError) {
        let place = URL(fileURLWithPath: path)
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: place.path, isDirectory: &isFolder), isFolder.boolValue {
            throw .invalid("", "\(path.visible) is a folder; name a file")
        }
        self.path = place.path
        let name = ".\(place.lastPathComponent.prefix(150)).\(getpid())\(suffix).partial"
        temporaryPath = place.deletingLastPathComponent().appendingPathComponent(name).path
        let descriptor = open(temporaryPath, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            let why = String(cString: strerror(errno))
            throw .invalid("", "\(path.visible) cannot be written: \(why)")
        }
        handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
        PartialFiles.add(temporaryPath)
    }

    func write(_ data: Data) throws(AerieError) {
        do { try handle.write(contentsOf: data) } catch { throw unwritable(error) }
    }

    func write(_ text: String) throws(AerieError) { try write(Data(text.utf8)) }

    /// Puts the file under its name; what was there before is replaced at once.
    func finish() throws(AerieError) {
        do { try handle.synchronize() } catch { throw unwritable(error) }
        guard rename(temporaryPath, path) == 0 else {
            let why = String(cString: strerror(errno))
            discard()
            throw .invalid("", "\(path.visible) cannot be written: \(why)")
        }
        PartialFiles.remove(temporaryPath)
    }

    /// Writes a whole text.
    static func write(_ text: String, to path: String) throws(AerieError) {
        let file = try ExportFile(path: path)
        do throws(AerieError) {
            try file.write(text)
            try file.finish()
        } catch {
            file.discard()
            throw error
        }
    }

    func discard() {
        unlink(temporaryPath)
        PartialFiles.remove(temporaryPath)
    }

    private func unwritable(_ error: any Error) -> AerieError {
        .diskFull("\(path.visible) cannot be written: the disk may be full", cause: error)
    }
}

/// Files that must not outlive the process.
private enum PartialFiles {
    private static let paths = Mutex<Set<String>>([])
    /// Made at the first file; a command that writes none is ended by a signal as ever.
    private nonisolated(unsafe) static let sources: [any DispatchSourceSignal] = [SIGINT, SIGTERM].map { number in
        signal(number, SIG_IGN)
        let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
        source.setEventHandler {
            paths.withLock { for path in $0 { unlink(path) } }
            if Terminal.isError { FileHandle.standardError.write(Data("\r\u{1b}[2K".utf8)) }
            _exit(128 + number)
        }
        source.resume()
        return source
    }

    static func add(_ path: String) {
        _ = sources
        paths.withLock { _ = $0.insert(path) }
    }

    static func remove(_ path: String) { paths.withLock { _ = $0.remove(path) } }
}

/// One line on the terminal that says how far the work is; nothing where the errors go elsewhere.
struct ProgressLine {
    private let isShown = Terminal.isError
    private var drawn: UInt64 = 0

    mutating func show(_ text: @autoclosure () -> String, share: Double? = nil) {
        let now = monotonicNanoseconds()
        guard isShown, now &- drawn > 66_000_000 else { return }
        drawn = now
        var bar = ""
        if let share {
            let full = Int(min(max(share, 0), 1) * 24)
            bar = String(repeating: "█", count: full) + String(repeating: "░", count: 24 - full) + " "
        }
        FileHandle.standardError.write(Data("\r\u{1b}[2K\(bar)\(text())".utf8))
    }

    func clear() { if isShown { FileHandle.standardError.write(Data("\r\u{1b}[2K".utf8)) } }
}
