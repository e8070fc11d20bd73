import AerieCore
import Foundation
import Glibc
import Pipelines
import Synchronization

/// A child in a process group of its own, with what it writes cut into lines.
final class ChildProcess: Sendable {
    struct Launch: Sendable {
        var executable: String
        var arguments: [String]
        var environment: [String: String]
        var grace: Duration
        var nice: Int
    }

    struct Ending: Sendable {
        /// As `waitpid` gives it.
        var status: Int32
        var wasCancelled: Bool
        /// The last line of its output that is not blank, at most 500 characters.
        var lastLine: String
    }

    private let launch: Launch
    private let log: @Sendable (String) -> Void
    private let progress: @Sendable (String) -> Void
    private let isCancelled = Mutex(false)
    /// One at a time, so that no child inherits another's pipes in the moment before they are marked close-on-exec.
    static let starting = Mutex(())

    init(_ launch: Launch, log: @escaping @Sendable (String) -> Void, progress: @escaping @Sendable (String) -> Void) {
        self.launch = launch
        self.log = log
        self.progress = progress
    }

    /// Ends the child with everything it started: SIGTERM to its group, and SIGKILL after the grace.
    func cancel() { isCancelled.withLock { $0 = true } }

    /// Starts the child and stays until it is gone. Blocks its thread.
    func runToEnd() -> Result<Ending, AerieError> {
        do throws(AerieError) {
            let (lifeline, output, channel, pid) = try Self.starting.withLock { _ throws(AerieError) in
                let pipes = (try Pipe(), try Pipe(), try Pipe())
                return (pipes.0, pipes.1, pipes.2, try launch.spawn([
                    pipes.0.readEnd, pipes.1.writeEnd, pipes.1.writeEnd, pipes.2.writeEnd,
                ]))
            }
            defer { for pipe in [lifeline, output, channel] { pipe.close() } }
            lifeline.closeReadEnd()
            output.closeWriteEnd()
            channel.closeWriteEnd()
            output.readWithoutWaiting()
            channel.readWithoutWaiting()
            return .success(follow(pid, output: output, channel: channel))
        } catch { return .failure(error) }
    }

    private func follow(_ pid: pid_t, output: Pipe, channel: Pipe) -> Ending {
        var lines = LineCutter()
        var notes = LineCutter()
        var lastLine = ""
        var status: Int32 = 0
        var killAt: UInt64?
        var wasCancelled = false
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        func drain() {
            for line in lines.read(output.readEnd, &buffer) {
                log(line)
                if line.contains(where: { !$0.isWhitespace }) { lastLine = String(line.prefix(500)) }
            }
            for note in notes.read(channel.readEnd, &buffer) { progress(note) }
        }
        while true {
            var polled = [
                pollfd(fd: lines.isAtEnd ? -1 : output.readEnd, events: Int16(POLLIN), revents: 0),
                pollfd(fd: notes.isAtEnd ? -1 : channel.readEnd, events: Int16(POLLIN), revents: 0),
            ]
            // Both pipes end just before the child does.
            poll(&polled, 2, lines.isAtEnd && notes.isAtEnd ? 2 : 50)
            drain()
            if waitpid(pid, &status, WNOHANG) == pid { break }
            if isCancelled.withLock({ $0 }) {
                let now = monotonicNanoseconds()
                if let time = killAt {
                    if now >= time { kill(-pid, SIGKILL) }
                } else {
                    wasCancelled = true
                    kill(-pid, SIGTERM)
                    let grace = launch.grace.components
                    killAt = now &+ UInt64(max(0, grace.seconds)) &* 1_000_000_000
                        &+ UInt64(max(0, grace.attoseconds / 1_000_000_000))
                }
            }
        }
        // What the child has left behind goes with it; then nobody holds the pipes.
        kill(-pid, SIGKILL)
        drain()
        for line in lines.rest() {
            log(line)
            lastLine = String(line.prefix(500))
        }
        return Ending(status: status, wasCancelled: wasCancelled, lastLine: lastLine)
    }
}

extension ChildProcess.Ending {
    /// How the process ended, for the person who has to mend it.
    func explained(limits: StepLimits) -> String {
        let signal = status & 0x7f
        guard signal != 0 else {
            let code = (status >> 8) & 0xff
            let isGood = code == 0
            return "the step's process " + (isGood ? "ended without a result" : "exited with status \(code)")
        }
        let memory = limits.memory.map { " of \($0 / 1_048_576) MiB" }
        let hint: String
        switch signal {
        case SIGKILL: hint = "was killed by signal 9: the machine was out of memory, or somebody killed it"
        case SIGXCPU: hint = "was ended by signal \(signal): it used more processor time than its timeout allows"
        case SIGTERM: hint = "was ended by signal 15 from outside"
        case SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS:
            let limit = memory.map { "; perhaps it met its memory limit\($0): raise limits.memory, or give it less data" }
            hint = "crashed with signal \(signal)" + (limit ?? "")
        default: hint = "was ended by signal \(signal)"
        }
        return "the step's process \(hint)"
    }
}

/// Cuts what comes through a pipe into lines of at most 64 KiB; bytes that are not UTF-8 are replaced.
struct LineCutter {
    private var pending: [UInt8] = []
    private(set) var isAtEnd = false
    private static let limit = 64 << 10

    /// Everything that can be read without waiting, as whole lines.
    mutating func read(_ descriptor: Int32, _ buffer: inout [UInt8]) -> [String] {
        var lines: [String] = []
        while !isAtEnd {
            let count = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count < 0 {
                if errno == EINTR { continue }
                if errno != EAGAIN { isAtEnd = true }
                break
            }
            if count == 0 {
                isAtEnd = true
                break
            }
            pending += buffer[0..<count]
            var start = 0
            for index in pending.indices where pending[index] == UInt8(ascii: "\n") {
                lines.append(Self.text(pending[start..<index]))
                start = index + 1
            }
            pending.removeFirst(start)
            if pending.count > Self.limit { lines += rest() }
            // A child that never stops writing must not keep us from seeing that it was cancelled.
            if lines.count > 1000 { break }
        }
        return lines
    }

    /// What came after the last end of line.
    mutating func rest() -> [String] {
        defer { pending = [] }
        return pending.isEmpty ? [] : [Self.text(pending[...])]
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        let bytes = bytes.last == UInt8(ascii: "\r") ? bytes.dropLast() : bytes
        return String(decoding: bytes, as: UTF8.self)
    }
}
