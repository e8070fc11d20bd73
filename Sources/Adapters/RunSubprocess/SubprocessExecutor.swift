public import AerieCore
import AerieJSON
import Foundation
public import Pipelines
import Synchronization

/// Runs each step as `<executable> <arguments> --spec FILE` in a process, and a process group, of its own.
///
/// The step reads its job from FILE and writes its result to the path that stands there (`StepProcess` does both). What
/// it writes to stdout and stderr is its log; descriptor 3 takes its progress as lines of JSON; descriptor 0 is a
/// lifeline: it ends when this process does, however that dies, and the step then kills its own group.
/// A thread per running step waits for it, so nothing blocks the cooperative pool.
public struct SubprocessExecutor: StepExecutor {
    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private let grace: Duration

    /// - Parameters:
    ///   - executable: absolute path.
    ///   - environment: added to this process's own.
    ///   - grace: between SIGTERM and SIGKILL when a step is cancelled.
    public init(
        executable: String, arguments: [String] = ["step"], environment: [String: String] = [:],
        grace: Duration = .seconds(5)
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.grace = grace
    }

    /// The executable of this very process.
    public static var ownExecutable: String {
        let path = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return path ?? CommandLine.arguments[0]
    }

    public func run(
        _ job: StepJob, log: @escaping @Sendable (String) -> Void,
        progress: @escaping @Sendable (Double, String) -> Void
    ) async throws(AerieError) -> StepResult {
        let spec = try StepSpec.write(job)
        let launch = ChildProcess.Launch(
            executable: executable, arguments: arguments + ["--spec", spec.path], environment: environment,
            grace: grace, nice: job.limits.nice)
        let child = ChildProcess(launch, log: log) { line in
            guard let object = try? JSONValue.parse(line) else { return }
            progress(object["progress"]?.double ?? 0, object["message"]?.string ?? "")
        }
        let ending: Result<ChildProcess.Ending, AerieError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // The thread lives as long as the child.
                let thread = Thread { continuation.resume(returning: child.runToEnd()) }
                thread.name = "step \(job.step)"
                thread.stackSize = 512 << 10
                thread.start()
            }
        } onCancel: {
            child.cancel()
        }
        return try Self.result(try ending.get(), job: job, resultFile: spec.resultPath)
    }

    private static func result(
        _ ending: ChildProcess.Ending, job: StepJob, resultFile: String
    ) throws(AerieError) -> StepResult {
        if ending.wasCancelled { throw AerieError(.cancelled, "cancelled") }
        if let outcome = try StepSpec.readResult(resultFile) {
            switch outcome {
            case .success(let result): return result
            case .failure(let error): throw error
            }
        }
        let last = ending.lastLine.isEmpty ? "" : "; its last line: \(ending.lastLine)"
        throw AerieError(.internal, "\(ending.explained(limits: job.limits))\(last)", reason: "step.died")
    }
}
