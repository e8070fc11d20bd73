import ArgumentParser
import Foundation
import Fuzzing
import Synchronization

@main
struct AerieFuzz: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "aerie-fuzz",
        abstract: "Feeds every parser of the data plane with inputs that are nearly right.",
        discussion: """
            Each fuzzer runs in a process of its own. An input that ends it, hangs it or makes it answer wrongly is \
            made as small as it can be and kept below Fuzz/Failures. The same seed gives the same inputs.
            """)

    /// Every fuzzer there is. One that is not in this list does not run.
    static let registry: [Fuzzer] =
        HTTPFuzzers.all + InferenceFuzzers.all + MessageFuzzers.all + SeldonFuzzers.all + ModelFuzzers.all
        + DeploymentFuzzers.all + Canaries.all

    @Argument(help: "The fuzzers to run; all without any.")
    var names: [String] = []
    @Flag(help: "A short run: few inputs each, always the same ones.")
    var smoke = false
    @Flag(help: "Lists the fuzzers.")
    var list = false
    @Option(help: "Where the random numbers begin.")
    var seed: UInt64 = 1
    @Option(help: "Seconds for each fuzzer.")
    var seconds: Double = 30
    @Option(help: "Inputs for each fuzzer at most.")
    var cases = Int.max
    @Option(help: "Fuzzers at once.")
    var jobs = max(1, ProcessInfo.processInfo.activeProcessorCount)
    @Option(help: "The folder of Regressions and Failures.")
    var folder = ProjectFiles.fuzz

    @Flag(name: .customLong("run"), help: .hidden) var runsCases = false
    @Option(help: .hidden) var replay: String?
    @Option(help: .hidden) var window: String?

    func validate() throws {
        for name in names where !Self.registry.contains(where: { $0.name == name }) {
            throw ValidationError("there is no fuzzer \(name); --list names them")
        }
        guard jobs > 0, seconds > 0, cases > 0 else { throw ValidationError("jobs, seconds and cases are at least 1") }
    }

    func run() throws {
        if list {
            for fuzzer in Self.registry { print(Self.padded(fuzzer.name), fuzzer.about) }
            return
        }
        if let window, let fuzzer = Self.registry.first(where: { $0.name == names.first }) {
            try runCases(of: fuzzer, window)
        }
        try supervise()
    }

    /// This is the process that may be ended by what it runs.
    private func runCases(of fuzzer: Fuzzer, _ window: String) throws {
        try CaseRunner(fuzzer, window: window).end { runner in
            if let replay {
                try runner.replay(CaseBatch.decode(Array(try Data(contentsOf: URL(fileURLWithPath: replay)))))
            } else {
                let plan = CaseRunner.Plan(seed: seed, cases: cases, seconds: seconds)
                let regressions = FuzzSupervisor.regressions(of: fuzzer, in: folder)
                let corpus = "\(folder)/Corpus/\(fuzzer.name)"
                print("outcomes", try runner.run(plan, regressions: regressions, corpus: corpus).outcomes)
            }
        }
    }

    private func supervise() throws {
        // A long run has no use for the canaries, unless they are named.
        let fuzzers = Self.registry.filter {
            names.isEmpty ? smoke || $0.canary == nil : names.contains($0.name)
        }
        let plan = CaseRunner.Plan(seed: seed, cases: smoke ? min(cases, 3000) : cases, seconds: smoke ? 1 : seconds)
        let program = Bundle.main.executablePath ?? CommandLine.arguments[0]
        let supervisor = FuzzSupervisor(command: [program], folder: folder, hangSeconds: smoke ? 30 : 5)
        print("seed \(seed), \(fuzzers.count) fuzzers")
        let place = Mutex(0)
        let bad = Mutex(0)
        DispatchQueue.concurrentPerform(iterations: min(jobs, fuzzers.count)) { _ in
            while let fuzzer = place.withLock({ at in
                defer { at += 1 }
                return at < fuzzers.count ? fuzzers[at] : nil
            }) {
                do {
                    let report = try supervisor.run(fuzzer, plan)
                    tell(report)
                    if !report.isGood { bad.withLock { $0 += 1 } }
                } catch {
                    print("\(fuzzer.name): could not be run: \(error)")
                    bad.withLock { $0 += 1 }
                }
            }
        }
        let failed = bad.withLock { $0 }
        print(failed == 0 ? "every parser held" : "\(failed) of \(fuzzers.count) fuzzers failed")
        if failed > 0 { throw ExitCode.failure }
    }

    private static func padded(_ name: String) -> String { name.padding(toLength: 18, withPad: " ", startingAt: 0) }

    private func tell(_ report: FuzzSupervisor.Report) {
        var line = "\(report.isGood ? "ok  " : "BAD ") \(Self.padded(report.fuzzer)) \(report.cases) inputs, \(report.outcomes) outcomes, "
            + String(format: "%.1f s", report.seconds)
        if let failure = report.failure {
            line += "; \(failure.kind.rawValue): \(failure.problem)"
            if let bytes = report.minimizedBytes { line += " (\(bytes) bytes)" }
            if let file = report.file { line += "\n     \(file)" }
        }
        print(line)
    }
}
