import AerieCore
import AerieJSON
import Features
import Foundation
import Glibc
import Synchronization

/// A Python process that runs functions, and the way to speak with it; see `FunctionScript`. One thread at a time.
final class FunctionWorker {
    /// How a question ended other than with an answer. The process is then gone.
    enum Failure: Error {
        case died(String)
        case tookTooLong
        case cancelled
        case cannotStart(AerieError)
    }

    private let launch: ChildProcess.Launch
    private let log: @Sendable (String) -> Void
    private var pid: pid_t = 0
    private var socket: Int32 = -1
    private var output: Pipe?
    private var lines = LineCutter()
    private var lastLine = ""
    private var functions: [OnDemandFunction: Int] = [:]
    private var buffer = [UInt8](repeating: 0, count: 64 << 10)

    private static let functionLimit = 500
    /// Loading pandas takes its time on a busy machine.
    private static let startLimit: UInt64 = 60 * 1_000_000_000
    /// Bytes of one answer.
    private static let answerLimit = 256 << 20

    /// - Parameter log: told each line that functions write.
    init(python: String, log: @escaping @Sendable (String) -> Void) {
        launch = ChildProcess.Launch(
            executable: python, arguments: ["-c", FunctionScript.text],
            environment: ["PYTHONUNBUFFERED": "1", "PYTHONWARNINGS": "ignore"], grace: .zero, nice: 0)
        self.log = log
    }

    deinit { end() }

    /// Starts the process if it does not run, and waits until it is ready.
    /// - Returns: whether it was started now.
    @discardableResult
    func start() throws(Failure) -> Bool {
        if pid != 0, !hasEnded { return false }
        end()
        do throws(AerieError) {
            try ChildProcess.starting.withLock { _ throws(AerieError) in try spawn() }
        } catch { throw .cannotStart(error) }
        _ = try wait(sending: [], deadline: monotonicNanoseconds() &+ Self.startLimit, isCancelled: { false })
        return true
    }

    private var hasEnded: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_signo == SIGCHLD
    }

    private func spawn() throws(AerieError) {
        var ends: [Int32] = [-1, -1]
        let kind = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else {
            throw AerieError(.resourceExhausted, "cannot open a socket: \(String(cString: strerror(errno)))")
        }
        let nothing = open("/dev/null", O_RDONLY | O_CLOEXEC)
        // Above the descriptors that the child's ends are copied to.
        let theirs = fcntl(ends[1], F_DUPFD_CLOEXEC, 10)
        let empty = fcntl(nothing, F_DUPFD_CLOEXEC, 10)
        for descriptor in [ends[1], nothing] where descriptor >= 0 { close(descriptor) }
        socket = ends[0]
        defer { for descriptor in [theirs, empty] where descriptor >= 0 { close(descriptor) } }
        let output = try Pipe()
        guard theirs >= 0, empty >= 0 else { throw AerieError(.resourceExhausted, "too many open files") }
        pid = try launch.spawn([empty, output.writeEnd, output.writeEnd, theirs])
        output.closeWriteEnd()
        output.readWithoutWaiting()
        _ = fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)
        self.output = output
        (lines, lastLine) = (LineCutter(), "")
    }

    /// Ends the process with everything it started.
    func end() {
        if pid != 0 {
            kill(-pid, SIGKILL)
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            drain()
            for line in lines.rest() { tell(line) }
        }
        if socket >= 0 { close(socket) }
        (pid, socket, output) = (0, -1, nil)
        functions = [:]
    }

    // MARK: Speaking

    /// The number under which the process knows a function, which is sent if it does not.
    /// - Returns: `nil`, and the process's words, if it cannot be loaded.
    func number(
        of function: OnDemandFunction, view: String, deadline: UInt64
    ) throws(Failure) -> (number: Int?, problem: String) {
        try start()
        if let known = functions[function] { return (known, "") }
        if functions.count >= Self.functionLimit {
            end()
            try start()
        }
        let number = functions.count
        let message: JSONObject = [
            "op": "load", "id": .int(Int64(number)), "view": .string(view), "mode": .string(function.mode.rawValue),
            "singleton": .bool(function.isSingleton), "name": .string(function.name),
            "source": .string(function.source), "pickle": .string(Base64.standard.encode(function.pickle)),
            "plan": .string(Base64.standard.encode(function.plan)),
        ]
        let answer = try ask(message, deadline: deadline)
        if let problem = answer["error"]?.string { return (nil, problem) }
        functions[function] = number
        return (number, "")
    }

    /// Sends a message and waits for the answer.
    func ask(_ message: JSONObject, deadline: UInt64) throws(Failure) -> JSONValue {
        try start()
        let text = JSONValue.object(message).utf8()
        let length = UInt32(clamping: text.count)
        let frame = (0..<4).map { UInt8(truncatingIfNeeded: length >> ($0 * 8)) } + text
        return try wait(sending: frame, deadline: deadline, isCancelled: { false })
    }

    /// Waits for a further answer to the last message.
    func next(deadline: UInt64, isCancelled: () -> Bool) throws(Failure) -> JSONValue {
        try wait(sending: [], deadline: deadline, isCancelled: isCancelled)
    }

    private func wait(
        sending frame: [UInt8], deadline: UInt64, isCancelled: () -> Bool
    ) throws(Failure) -> JSONValue {
        var sent = 0
        var received: [UInt8] = []
        while true {
            var polled = [
                pollfd(
                    fd: socket, events: Int16(POLLIN) | (sent < frame.count ? Int16(POLLOUT) : 0), revents: 0),
                pollfd(fd: lines.isAtEnd ? -1 : output?.readEnd ?? -1, events: Int16(POLLIN), revents: 0),
            ]
            poll(&polled, 2, 50)
            drain()
            if sent < frame.count {
                let count = frame.withUnsafeBytes {
                    send(socket, $0.baseAddress! + sent, frame.count - sent, Int32(MSG_NOSIGNAL))
                }
                if count > 0 { sent += count }
                if count < 0, errno == EPIPE || errno == ECONNRESET { throw died() }
            }
            if let answer = try receive(&received) { return answer }
            if isCancelled() {
                end()
                throw .cancelled
            }
            if monotonicNanoseconds() > deadline {
                end()
                throw .tookTooLong
            }
        }
    }

    /// What has come of an answer; `nil` while it is not whole.
    private func receive(_ received: inout [UInt8]) throws(Failure) -> JSONValue? {
        while true {
            var wanted = 4
            if received.count >= 4 { wanted += (0..<4).reduce(0) { $0 | Int(received[$1]) << ($1 * 8) } }
            guard wanted <= Self.answerLimit else { throw died() }
            if received.count >= 4, received.count == wanted {
                guard let answer = try? JSONValue.parse(Array(received[4...])) else { throw died() }
                return answer
            }
            let count = recv(socket, &buffer, min(buffer.count, wanted - received.count), 0)
            if count > 0 {
                received += buffer[..<count]
                continue
            }
            if count < 0, errno == EINTR { continue }
            if count < 0, errno == EAGAIN { return nil }
            throw died()
        }
    }

    private func died() -> Failure {
        var status: Int32 = 0
        if pid != 0 {
            kill(-pid, SIGKILL)
            // As it ended by itself, if it did; the signal comes too late then.
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            drain()
            for line in lines.rest() { tell(line) }
            pid = 0
        }
        end()
        let signal = status & 0x7f
        let words = signal == 0 ? "exited with status \((status >> 8) & 0xff)" : "ended with signal \(signal)"
        return .died(words + (lastLine.isEmpty ? "" : "; its last line: \(lastLine)"))
    }

    // MARK: What functions write

    private func drain() {
        guard let output else { return }
        for line in lines.read(output.readEnd, &buffer) { tell(line) }
    }

    private func tell(_ line: String) {
        guard line.contains(where: { !$0.isWhitespace }) else { return }
        lastLine = String(line.prefix(300))
        log(line)
    }
}
