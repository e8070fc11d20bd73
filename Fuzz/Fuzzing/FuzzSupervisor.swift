import Foundation

/// Runs fuzzers, each in a process of its own, and keeps what they fail at.
public struct FuzzSupervisor: Sendable {
    public struct Report: Sendable {
        public var fuzzer: String
        public var cases = 0
        public var outcomes = 0
        public var seconds = 0.0
        public var failure: FuzzFailure?
        /// Where the failing input is kept, and its size once what it does not need is taken away.
        public var file: String?
        public var minimizedBytes: Int?
        /// A canary must fail as it says; every other fuzzer must not.
        public var isGood: Bool
    }

    /// The program that has the fuzzers; it is started again to run cases.
    let command: [String]
    /// `Regressions/NAME/…` are inputs that once failed; `Failures/NAME/…` are those of now.
    let folder: String
    let hangSeconds: Double

    public init(command: [String], folder: String, hangSeconds: Double = 5) {
        self.command = command
        self.folder = folder
        self.hangSeconds = hangSeconds
    }

    public func run(_ fuzzer: Fuzzer, _ plan: CaseRunner.Plan) throws -> Report {
        let limit = fuzzer.canary == .hang ? min(0.5, hangSeconds) : hangSeconds
        let process = CaseProcess(command: command, fuzzer: fuzzer, hangSeconds: limit)
        let start = ContinuousClock.now
        let outcome = try process.run([
            "--run", "--seed", String(plan.seed), "--cases", String(plan.cases), "--seconds", String(plan.seconds),
            "--folder", folder,
        ])
        var report = Report(fuzzer: fuzzer.name, isGood: outcome.failure?.kind == fuzzer.canary)
        report.cases = outcome.sequence
        report.outcomes = outcome.output.split(separator: "\n").lazy
            .compactMap { $0.hasPrefix("outcomes ") ? Int($0.dropFirst(9)) : nil }.first ?? 0
        report.failure = outcome.failure
        if var failure = outcome.failure, failure.kind != .leak {
            failure.input = try CaseMinimizer(process: process).minimize(failure)
            report.minimizedBytes = failure.input.count
            report.failure = failure
            if fuzzer.canary == nil { report.file = try keep(failure, of: fuzzer, process) }
        }
        report.seconds = Double((ContinuousClock.now - start).components.seconds)
            + Double((ContinuousClock.now - start).components.attoseconds) * 1e-18
        return report
    }

    /// Writes the input, and beside it what happens with it, with the stack where there is one.
    private func keep(_ failure: FuzzFailure, of fuzzer: Fuzzer, _ process: CaseProcess) throws -> String {
        let folder = "\(folder)/Failures/\(fuzzer.name)"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let random = failure.input.reduce(UInt64(14_695_981_039_346_656_037)) { ($0 ^ UInt64($1)) &* 1_099_511_628_211 }
        let path = "\(folder)/\(failure.kind.rawValue)-\(String(random, radix: 16))"
        try Data(failure.input).write(to: URL(fileURLWithPath: path))
        let batch = path + ".batch"
        defer { unlink(batch) }
        try Data(CaseBatch.encode([failure.input])).write(to: URL(fileURLWithPath: batch))
        let again = try process.run(["--replay", batch], traces: failure.kind == .crash)
        try "\(failure.kind.rawValue): \(failure.problem)\n\(again.output)"
            .write(toFile: path + ".txt", atomically: true, encoding: .utf8)
        return path
    }

    /// The inputs that once failed, in the order of their names.
    public static func regressions(of fuzzer: Fuzzer, in folder: String) -> [[UInt8]] {
        let folder = "\(folder)/Regressions/\(fuzzer.name)"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
        return names.sorted().compactMap { name in
            (try? Data(contentsOf: URL(fileURLWithPath: "\(folder)/\(name)"))).map { Array($0) }
        }
    }
}
