public import AerieCore
import AerieJSON
import Foundation
import Glibc
public import Pipelines

/// The step's side of `SubprocessExecutor`: what `aerie step --spec FILE` does.
public enum StepProcess {
    /// Runs the step that the file describes and leaves its result where the file says.
    ///
    /// Takes on the limits, and dies when the server does. Nothing is thrown: a failure is a result too.
    /// - Returns: the status to exit with: 0 if the step succeeded.
    /// - Throws: if there is no readable specification, or no result could be written.
    public static func main(specFile: String, catalog: StepCatalog) async throws(AerieError) -> Int32 {
        let spec = try StepSpec.read(specFile)
        signal(SIGPIPE, SIG_IGN)
        watchLifeline()
        apply(spec.job.limits)
        return try await perform(spec, catalog)
    }

    /// The work alone, in whatever process this is; `main` has first made the process the step's own.
    static func perform(_ spec: StepSpec, _ catalog: StepCatalog) async throws(AerieError) -> Int32 {
        let outcome = await run(spec.job, catalog)
        try spec.writeResult(outcome)
        return if case .success = outcome { 0 } else { 1 }
    }

    private static func run(_ job: StepJob, _ catalog: StepCatalog) async -> Result<StepResult, AerieError> {
        guard let step = catalog[job.uses] else {
            let names = catalog.names.joined(separator: ", ")
            return .failure(.invalid("uses", "'\(job.uses)' is no kind of step; there are \(names)"))
        }
        let context = StepContext(
            pipeline: job.pipeline, runID: job.runID, step: job.step, workDirectory: job.workDirectory,
            parameters: job.parameters, trackingRun: job.trackingRun, log: { writeLine($0, to: 1) },
            progress: { fraction, message in
                let note: JSONObject = ["progress": .double(fraction), "message": .string(message)]
                writeLine(JSONValue.object(note).text(), to: 3)
            })
        do throws(AerieError) { return .success(try await step.run(context)) } catch {
            return .failure(explained(error, job.limits))
        }
    }

    /// Libraries say in their own words that there was no memory; that it was the step's limit, only we know.
    static func explained(_ error: AerieError, _ limits: StepLimits) -> AerieError {
        guard let memory = limits.memory else { return error }
        let words = ["bad_alloc", "out of memory", "cannot allocate memory", "failed to allocate", "could not allocate"]
        let text = error.message.lowercased()
        guard words.contains(where: text.contains) else { return error }
        return AerieError(
            .failedPrecondition,
            "the step met its memory limit of \(memory / 1_048_576) MiB; raise limits.memory of the step, or give it "
                + "less data (\(error.message))",
            reason: "step.memoryLimit", details: [.init(field: "limits.memory", problem: "too little for this step")],
            cause: error)
    }

    /// Descriptor 0 is a pipe whose other end only the server holds. When it ends, so do this process and all that it
    /// has started. A signal on the parent's death would not do: it is tied to the parent's thread, and does not reach
    /// grandchildren.
    private static func watchLifeline() {
        var info = stat()
        guard fstat(0, &info) == 0, info.st_mode & S_IFMT == S_IFIFO, getpgrp() == getpid() else { return }
        // The pipe's ends are made non-blocking for the server's own reading.
        _ = fcntl(0, F_SETFL, fcntl(0, F_GETFL) & ~O_NONBLOCK)
        let thread = Thread {
            var byte: UInt8 = 0
            while true {
                let count = read(0, &byte, 1)
                guard count == 0 else { continue }
                kill(0, SIGKILL)
            }
        }
        thread.stackSize = 64 << 10
        thread.start()
    }

    private static func apply(_ limits: StepLimits) {
        limit(RLIMIT_CORE, 0)
        // Private writable memory. Not the address space: a database maps far more than it uses.
        if let memory = limits.memory { limit(RLIMIT_DATA, UInt(max(memory, 0))) }
        if let timeout = limits.timeout {
            let cores = UInt(max(1, ProcessInfo.processInfo.activeProcessorCount))
            limit(RLIMIT_CPU, (UInt(max(1, timeout.components.seconds)) &+ 10) &* cores)
        }
    }

    private static func limit(_ resource: __rlimit_resource, _ value: UInt) {
        var limits = rlimit()
        guard getrlimit(__rlimit_resource_t(resource.rawValue), &limits) == 0 else { return }
        limits.rlim_cur = min(value, limits.rlim_max)
        _ = setrlimit(__rlimit_resource_t(resource.rawValue), &limits)
    }

    /// In one call, so that lines of several threads do not mix.
    private static func writeLine(_ text: String, to descriptor: Int32) {
        var rest = Array((text + "\n").utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}
