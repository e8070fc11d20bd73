import AerieTelemetry

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// Runs cases in this process, which a bad one may end.
public struct CaseRunner {
    /// How a process of cases ends when it ends by itself.
    public enum ExitStatus: Int32 {
        case good = 0, finding = 3, leak = 4, broken = 5
    }

    public struct Plan: Sendable {
        public var seed: UInt64
        /// Inputs at most, and seconds at most.
        public var cases: Int
        public var seconds: Double
        /// Seconds of each of the looks at the memory, of which there are two to four.
        var leakSeconds: Double { min(1, seconds / 4) }

        public init(seed: UInt64, cases: Int, seconds: Double) {
            self.seed = seed
            self.cases = cases
            self.seconds = seconds
        }
    }

    private let fuzzer: Fuzzer
    private let window: CaseWindow
    private let memory: GuardedInput
    private let body: Fuzzer.Case

    /// What the same inputs may take more after rounds of them, twice in a row. In bytes.
    private static let leakLimit = 2 << 20
    /// Memory beside what the process has at its beginning. In bytes.
    private static let memoryLimit = 3 << 30

    public init(_ fuzzer: Fuzzer, window path: String) throws {
        self.fuzzer = fuzzer
        window = try CaseWindow(path: path, maximumBytes: fuzzer.maximumBytes)
        memory = try GuardedInput(maximumBytes: fuzzer.maximumBytes)
        body = try fuzzer.prepare()
        Self.limitMemory()
    }

    /// Absurd amounts of memory are refused, and end the process, instead of being taken.
    private static func limitMemory() {
        #if canImport(Glibc)
            var none = rlimit(rlim_cur: 0, rlim_max: 0)
            setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
            guard let file = fopen("/proc/self/statm", "r") else { return }
            defer { fclose(file) }
            var line = [CChar](repeating: 0, count: 256)
            guard fgets(&line, 256, file) != nil else { return }
            let pages = strtoul(line, nil, 10)
            let most = rlim_t(pages) * rlim_t(sysconf(Int32(_SC_PAGESIZE))) + rlim_t(memoryLimit)
            var limit = rlimit(rlim_cur: most, rlim_max: most)
            setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
        #endif
    }

    /// Runs one input.
    /// - Throws: `FuzzFinding`.
    private func run(_ input: [UInt8]) throws -> String {
        window.begin(input)
        return try body(memory.hold(input))
    }

    /// Every correct input and every one that once was a failure, then mutations, then the check for leaks.
    /// - Parameter corpus: the folder in which a program that is steered by coverage keeps what reached new code.
    /// - Returns: the inputs run and what different things came of them.
    public func run(_ plan: Plan, regressions: [[UInt8]], corpus: String) throws -> (cases: Int, outcomes: Int) {
        var source = CaseSource(fuzzer, seed: plan.seed, regressions: regressions)
        var cases = 0
        for input in fuzzer.seeds + regressions {
            source.note(input, outcome: try run(input))
            cases += 1
        }
        let start = ContinuousClock.now
        func isOver() -> Bool { cases >= plan.cases || ContinuousClock.now - start >= .seconds(plan.seconds) }
        #if FUZZ_COVERAGE
            let steering = CoverageSteering { input in
                let input = Array(input)
                source.note(input, outcome: try run(input))
                cases += 1
                return !isOver()
            } mutate: { source.changed($0, &$1) }
            try steering.run(
                seed: plan.seed, maximumBytes: fuzzer.maximumBytes, corpus: corpus, seeds: fuzzer.seeds + regressions)
        #else
            while !isOver() {
                let input = source.next()
                source.note(input, outcome: try run(input))
                cases += 1
            }
        #endif
        try checkLeaks(&source, seconds: plan.leakSeconds)
        return (cases, source.outcomeCount)
    }

    /// Runs the same inputs round after round. What a cache or the allocator keeps is there after the first rounds;
    /// what grows on and on is not given back.
    private func checkLeaks(_ source: inout CaseSource, seconds: Double) throws {
        let inputs = fuzzer.seeds + (0..<128).map { _ in source.next() }
        var budget = 4096
        func rounds(_ count: Int) throws -> Int {
            let start = ContinuousClock.now
            for _ in 0..<count where budget > 0 && ContinuousClock.now - start < .seconds(seconds) {
                for input in inputs { _ = try run(input) }
                budget -= inputs.count
            }
            return ProcessMetrics.residentBytes() ?? 0
        }
        var before = try rounds(3)
        var after = try rounds(10)
        guard after - before > Self.leakLimit else { return }
        budget = 4096
        before = try rounds(1)
        after = try rounds(10)
        if after - before > Self.leakLimit {
            throw FuzzLeak(description: "the same inputs took \((after - before) >> 10) KiB more")
        }
    }

    /// Runs given inputs, for whoever makes a failing one smaller.
    public func replay(_ inputs: [[UInt8]]) throws {
        for input in inputs { _ = try run(input) }
    }

    /// Does `work`, and ends the process with what came of it.
    public func end(after work: (CaseRunner) throws -> Void) -> Never {
        var status = ExitStatus.good
        do { try work(self) } catch {
            window.tell("\(error)")
            status = error is FuzzLeak ? .leak : .finding
        }
        // At once: libFuzzer takes an end that it has not made for the input's doing.
        fflush(nil)
        _exit(status.rawValue)
    }
}

struct FuzzLeak: Error, CustomStringConvertible { var description: String }
