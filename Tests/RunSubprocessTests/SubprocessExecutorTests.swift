import AerieCore
import AerieJSON
import AerieResources
import Foundation
import Glibc
import Pipelines
import Synchronization
import Testing

@testable import RunSubprocess

@Suite("Steps in processes") struct SubprocessExecutorTests {
    private final class Folder {
        let path = NSTemporaryDirectory() + "aerie-steps-" + UUID().uuidString
        var work: String { path + "/1" }
        init() throws { try FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true) }
        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    private final class Heard: Sendable {
        let lines = Mutex<[String]>([])
        let notes = Mutex<[String]>([])
        func run(_ executor: SubprocessExecutor, _ job: StepJob) async throws(AerieError) -> StepResult {
            try await executor.run(
                job, log: { line in self.lines.withLock { $0.append(line) } },
                progress: { fraction, message in self.notes.withLock { $0.append("\(fraction) \(message)") } })
        }
    }

    private let folder: Folder
    private let heard = Heard()

    init() throws { folder = try Folder() }

    /// A shell script in the place of `aerie step`; `$2` is the file with the specification, `$R` where the result
    /// goes.
    private func shell(_ script: String, grace: Duration = .seconds(5)) -> SubprocessExecutor {
        SubprocessExecutor(
            executable: "/bin/sh", arguments: ["-c", "R=${2%spec.json}result.json; \(script)", "step"],
            environment: ["GREETING": "hello"], grace: grace)
    }

    private func job(limits: StepLimits = StepLimits(nice: 0)) -> StepJob {
        StepJob(
            pipeline: "p", runID: "r", step: "s", uses: "u", attempt: 1, workDirectory: folder.work,
            parameters: ["trees": 5], limits: limits)
    }

    @Test("the step gets its job, its output is logged line by line, its progress and result come back")
    func success() async throws {
        let executor = shell(
            #"""
            echo "$GREETING"; echo "to stderr" >&2; printf 'no newline'; grep -c '"trees": 5' "$2" >/dev/null || exit 9
            echo '{"progress":0.25,"message":"quarter"}' >&3; echo 'not json' >&3; echo '{"progress":1,"message":"all"}' >&3
            echo '{"ok":true,"result":{"values":{"auc":0.9},"artifacts":{"model":"m.txt"},"metrics":[{"key":"k","value":2,"step":1}]}}' > "$R"
            """#)
        let result = try await heard.run(executor, job())
        #expect(result.values == ["auc": 0.9])
        #expect(result.artifacts == ["model": "m.txt"])
        #expect(result.metrics == [StepMetric(key: "k", value: 2, step: 1)])
        #expect(heard.lines.withLock { $0 } == ["hello", "to stderr", "no newline"])
        #expect(heard.notes.withLock { $0 } == ["0.25 quarter", "1.0 all"])
    }

    @Test("the step's own error comes back with its code, message and details")
    func ownError() async throws {
        let executor = shell(
            #"echo '{"ok":false,"error":{"code":"invalidArgument","message":"bad","details":[{"field":"f","problem":"p"}]}}' > "$R"; exit 1"#
        )
        let error = await #expect(throws: AerieError.self) { _ = try await heard.run(executor, job()) }
        #expect(error?.code == .invalidArgument && error?.message == "bad" && error?.details.first?.field == "f")
    }

    @Test("a library's word about memory becomes the step's limit and how to raise it")
    func memoryLimit() {
        let limits = StepLimits(memory: 128 << 20)
        let error = StepProcess.explained(AerieError(.invalidArgument, "std::bad_alloc"), limits)
        #expect(error.reason == "step.memoryLimit" && error.message.contains("limit of 128 MiB; raise limits.memory"))
        #expect(StepProcess.explained(AerieError(.invalidArgument, "no such column"), limits).reason == nil)
        #expect(StepProcess.explained(AerieError(.invalidArgument, "std::bad_alloc"), StepLimits()).reason == nil)
    }

    @Test(
        "a process that dies is explained",
        arguments: [
            ("echo last words; exit 7", "exited with status 7; its last line: last words"),
            ("kill -9 $$", "killed by signal 9: the machine was out of memory"),
            ("kill -SEGV $$", "crashed with signal 11; perhaps it met its memory limit of 512 MiB"),
            ("kill -XCPU $$", "more processor time"), ("kill -TERM $$", "signal 15 from outside"),
            ("exit 0", "without a result"),
            (#"printf '{"ok":tr' > "$R""#, "result that is not one"),
        ])
    func death(_ script: String, _ says: String) async throws {
        let limits = StepLimits(memory: 512 << 20, nice: 0)
        let error = await #expect(throws: AerieError.self) {
            _ = try await heard.run(shell(script), job(limits: limits))
        }
        #expect(error?.message.contains(says) == true, "\(error?.message ?? "")")
    }

    @Test("an executable that is not there is an error that names it")
    func missingExecutable() async throws {
        let executor = SubprocessExecutor(executable: "/nowhere/aerie")
        let error = await #expect(throws: AerieError.self) { _ = try await heard.run(executor, job()) }
        #expect(error?.message.contains("/nowhere/aerie") == true)
    }

    @Test(
        "cancelling ends the process and its children, with SIGKILL for those that ignore SIGTERM",
        arguments: [
            "", "trap '' TERM; ",
        ])
    func cancelling(trap: String) async throws {
        let pids = folder.path + "/pids"
        let executor = shell(
            "\(trap)sleep 60 & echo $! $$ > '\(pids).new'; mv '\(pids).new' '\(pids)'; while :; do sleep 1; done",
            grace: .milliseconds(300))
        let (heard, job) = (heard, job())
        let task = Task { () async throws(AerieError) -> StepResult in try await heard.run(executor, job) }
        while !FileManager.default.fileExists(atPath: pids) { try await Task.sleep(for: .milliseconds(5)) }
        let begin = monotonicNanoseconds()
        task.cancel()
        let result = await task.result
        #expect(throws: AerieError.self) { try result.get() }
        let seconds = Double(monotonicNanoseconds() - begin) / 1e9
        #expect(seconds < 5)
        #expect(trap.isEmpty || seconds > 0.25)
        let text = try String(contentsOfFile: pids, encoding: .utf8)
        for pid in text.split(whereSeparator: \.isWhitespace).compactMap({ pid_t($0) }) {
            #expect(await Self.isGone(pid), "process \(pid) is still there")
        }
    }

    @Test("what a step leaves running behind it goes with it, and does not hold it up")
    func leftovers() async throws {
        let pids = folder.path + "/pids"
        let executor = shell("sleep 60 & echo $! > '\(pids)'; echo '{\"ok\":true}' > \"$R\"")
        _ = try await heard.run(executor, job())
        let pid = try #require(
            pid_t(String(contentsOfFile: pids, encoding: .utf8).trimmingCharacters(in: .whitespacesAndNewlines)))
        #expect(await Self.isGone(pid))
    }

    @Test("a child has descriptors 0 to 3 and none of ours")
    func descriptors() async throws {
        // Open without close-on-exec, as a library might leave it.
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let executor = shell("ls /proc/self/fd | tr '\\n' ' '; echo; echo '{\"ok\":true}' > \"$R\"")
        _ = try await heard.run(executor, job())
        // `ls` itself opens one: the folder that it reads.
        #expect(heard.lines.withLock { $0 }.first?.trimmingCharacters(in: .whitespaces) == "0 1 2 3 4")
    }

    @Test("the lifeline blocks as long as we live")
    func lifeline() async throws {
        let executor = shell("timeout 0.2 cat; echo $?; echo '{\"ok\":true}' > \"$R\"")
        _ = try await heard.run(executor, job())
        #expect(heard.lines.withLock { $0 } == ["124"])
    }

    @Test("much output without an end of line, and bytes that are not UTF-8, are logged in pieces")
    func oddOutput() async throws {
        let executor = shell(
            "head -c 200000 /dev/zero | tr '\\0' x; printf '\\n\\377\\n'; echo '{\"ok\":true}' > \"$R\"")
        _ = try await heard.run(executor, job())
        let lines = heard.lines.withLock { $0 }
        #expect(lines.dropLast().map(\.count).reduce(0, +) == 200_000)
        #expect(lines.last == "\u{FFFD}")
    }

    @Test("many steps at once keep their outputs apart")
    func many() async throws {
        let executor = shell("echo out-${2#*/s-}; echo '{\"ok\":true}' > \"$R\"")
        let root = folder.path
        let texts = await withTaskGroup(of: String?.self) { group in
            for index in 0..<8 {
                group.addTask {
                    let work = "\(root)/s-\(index)"
                    try? FileManager.default.createDirectory(atPath: work, withIntermediateDirectories: true)
                    let heard = Heard()
                    let job = StepJob(
                        pipeline: "p", runID: "r", step: "\(index)", uses: "u", attempt: 1, workDirectory: work,
                        parameters: [:])
                    guard (try? await heard.run(executor, job)) != nil else { return nil }
                    return heard.lines.withLock { $0.first }
                }
            }
            var texts: Set<String> = []
            for await text in group { if let text { texts.insert(text) } }
            return texts
        }
        #expect(texts == Set((0..<8).map { "out-\($0).job/spec.json" }))
    }

    private struct Doubler: Step {
        var name: String { "double" }
        var parameters: FieldSchema { .object([Field("n", .anyInteger)]) }
        var outputs: [String] { ["n"] }
        var placement: StepPlacement { .process }
        var isCacheable: Bool { true }
        func run(_ context: StepContext) async throws(AerieError) -> StepResult {
            guard let n = context.parameters["n"]?.int else { throw .invalid("n", "is required") }
            return StepResult(values: ["n": .int(n * 2)])
        }
    }

    @Test("the step's side reads the job, runs the step and writes its result", arguments: [true, false])
    func stepSide(isGood: Bool) async throws {
        let spec = folder.path + "/spec.json"
        let result = folder.path + "/result.json"
        var object = job().json()
        object["uses"] = "double"
        object["parameters"] = isGood ? ["n": 21] : [:]
        object["result"] = .string(result)
        try JSONValue.object(object).text().write(toFile: spec, atomically: true, encoding: .utf8)
        let status = try await StepProcess.perform(try StepSpec.read(spec), StepCatalog([Doubler()]))
        #expect(status == (isGood ? 0 : 1))
        let value = try JSONValue.parse(String(contentsOfFile: result, encoding: .utf8))
        #expect(value["ok"] == .bool(isGood))
        if isGood {
            #expect(value["result"]?["values"]?["n"] == 42)
        } else {
            #expect(value["error"]?["code"] == "invalidArgument" && value["error"]?["message"] == "n: is required")
        }
    }

    @Test("a specification that is not one is an error with its place", arguments: ["", "[]", "{\"pipeline\": \"p\"}"])
    func wrongSpec(text: String) async throws {
        let spec = folder.path + "/spec.json"
        try text.write(toFile: spec, atomically: true, encoding: .utf8)
        let error = await #expect(throws: AerieError.self) {
            _ = try await StepProcess.perform(try StepSpec.read(spec), StepCatalog([]))
        }
        #expect(error?.code == .invalidArgument)
    }

    private static func isGone(_ pid: pid_t) async -> Bool {
        for _ in 0..<200 {
            // A zombie that its new parent has not collected yet is gone too.
            let stat = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
            if kill(pid, 0) != 0 || stat.contains(") Z ") { return true }
            try? await Task.sleep(for: .milliseconds(10))
        }
        return false
    }
}
