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
    private static let starting = Mutex(())

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
                return (pipes.0, pipes.1, pipes.2, try spawn(lifeline: pipes.0, output: pipes.1, channel: pipes.2))
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

    private func spawn(lifeline: Pipe, output: Pipe, channel: Pipe) throws(AerieError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, lifeline.readEnd, 0)
        posix_spawn_file_actions_adddup2(&actions, output.writeEnd, 1)
        posix_spawn_file_actions_adddup2(&actions, output.writeEnd, 2)
        posix_spawn_file_actions_adddup2(&actions, channel.writeEnd, 3)
        // Whatever the server has open without close-on-exec stays its own.
        closeFrom(4, &actions)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let environment = ProcessInfo.processInfo.environment.merging(launch.environment) { $1 }
        var words = ([launch.executable] + launch.arguments).map { strdup($0) } + [nil]
        var settings = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in words + settings { free(pointer) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, launch.executable, &actions, &attributes, &words, &settings)
        guard code == 0 else {
            throw AerieError(.unavailable, "cannot start \(launch.executable): \(String(cString: strerror(code)))")
        }
        // Here, while it has one thread only: threads have priorities of their own, and inherit them.
        if launch.nice > 0 { setpriority(Int32(PRIO_PROCESS.rawValue), id_t(pid), Int32(clamping: launch.nice)) }
        return pid
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

/// In the GNU library from 2.34 on, and not in its Swift module.
private func closeFrom(_ descriptor: Int32, _ actions: inout posix_spawn_file_actions_t) {
    typealias Function = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
    guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
    _ = unsafeBitCast(symbol, to: Function.self)(&actions, descriptor)
}

/// A pipe whose ends are closed once, at the latest when nobody has it any more, and never reach another process by
/// accident.
private final class Pipe {
    private(set) var readEnd: Int32 = -1
    private(set) var writeEnd: Int32 = -1

    init() throws(AerieError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw AerieError(.resourceExhausted, "cannot open a pipe: \(String(cString: strerror(errno)))")
        }
        // Above the descriptors 0 to 3 that the child's ends are copied to.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        readEnd = Self.raise(ends[0])
        writeEnd = Self.raise(ends[1])
        guard readEnd >= 0, writeEnd >= 0 else {
            close()
            throw AerieError(.resourceExhausted, "cannot open a pipe: too many open files")
        }
    }

    /// For the ends that are ours to read; the child's end of the lifeline must block.
    func readWithoutWaiting() { _ = fcntl(readEnd, F_SETFL, fcntl(readEnd, F_GETFL) | O_NONBLOCK) }

    func closeReadEnd() {
        if readEnd >= 0 { Glibc.close(readEnd) }
        readEnd = -1
    }

    func closeWriteEnd() {
        if writeEnd >= 0 { Glibc.close(writeEnd) }
        writeEnd = -1
    }

    deinit { close() }

    func close() {
        closeReadEnd()
        closeWriteEnd()
    }

    private static func raise(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < 10 else { return descriptor }
        defer { Glibc.close(descriptor) }
        return fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
    }
}

/// Cuts what comes through a pipe into lines of at most 64 KiB; bytes that are not UTF-8 are replaced.
private struct LineCutter {
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
