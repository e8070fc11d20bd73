import Foundation

/// The process that runs a fuzzer's cases, seen from the one that started it.
struct CaseProcess {
    /// The program that has the fuzzers, and its arguments before those of the case process.
    let command: [String]
    let fuzzer: Fuzzer
    /// Seconds that one input may take.
    let hangSeconds: Double

    struct Outcome {
        /// Inputs begun.
        var sequence: Int
        var output: String
        var failure: FuzzFailure?
    }

    /// Starts it, watches that it goes on, and waits for its end.
    func run(_ arguments: [String], traces: Bool = false) throws -> Outcome {
        let folder = FileManager.default.temporaryDirectory.path
        let path = "\(folder)/aerie-fuzz-\(UUID().uuidString)"
        defer { unlink(path) }
        let window = try CaseWindow(path: path, maximumBytes: fuzzer.maximumBytes)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: command[0])
        process.arguments = command.dropFirst() + arguments + ["--window", path, fuzzer.name]
        // The traps are what is looked for: their stacks take seconds, and are wanted once.
        process.environment = ProcessInfo.processInfo.environment.merging(
            ["SWIFT_BACKTRACE": traces ? "enable=yes,color=no,interactive=no" : "enable=no"]) { $1 }
        let log = path + ".log"
        defer { unlink(log) }
        FileManager.default.createFile(atPath: log, contents: nil)
        guard let file = FileHandle(forWritingAtPath: log) else { throw FuzzFinding("\(log) cannot be written") }
        process.standardOutput = file
        process.standardError = file
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let isHanging = watch(process, window)
        process.waitUntilExit()
        try? file.close()
        let output = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        var outcome = Outcome(sequence: window.sequence, output: output)
        outcome.failure = failure(of: process, window, isHanging: isHanging, output)
        return outcome
    }

    /// - Returns: whether it was ended because it did not go on.
    private func watch(_ process: Process, _ window: CaseWindow) -> Bool {
        var last = 0
        var since = ContinuousClock.now
        while process.isRunning {
            usleep(10_000)
            let now = ContinuousClock.now
            let sequence = window.sequence
            if sequence != last || sequence == 0 {
                last = sequence
                since = now
            } else if now - since > .seconds(hangSeconds) {
                kill(process.processIdentifier, SIGKILL)
                return true
            }
        }
        return false
    }

    private func failure(
        of process: Process, _ window: CaseWindow, isHanging: Bool, _ output: String
    ) -> FuzzFailure? {
        if isHanging {
            return FuzzFailure(kind: .hang, problem: "takes longer than \(hangSeconds) s", input: window.input)
        }
        if process.terminationReason == .uncaughtSignal {
            let name = String(cString: strsignal(process.terminationStatus))
            let reason = output.split(separator: "\n").first { $0.contains("atal error") }.map { ": \($0)" } ?? ""
            return FuzzFailure(kind: .crash, problem: name + reason, input: window.input)
        }
        switch CaseRunner.ExitStatus(rawValue: process.terminationStatus) {
        case .good: return nil
        case .finding: return FuzzFailure(kind: .finding, problem: window.words, input: window.input)
        case .leak: return FuzzFailure(kind: .leak, problem: window.words, input: [])
        default:
            let problem = "exit status \(process.terminationStatus): \(output.suffix(300))"
            return FuzzFailure(kind: .crash, problem: problem, input: window.input)
        }
    }
}
