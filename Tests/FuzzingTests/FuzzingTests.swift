import Foundation
import Testing

@testable import Fuzzing

@Suite("The fuzzers and their machinery", .serialized)
struct FuzzingTests {
    /// The program beside the tests' own bundle.
    static let program: String = {
        let bundle = CommandLine.arguments.first { $0.contains(".xctest") }?.components(separatedBy: ".xctest")[0]
        let folder = bundle.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        return [folder, "\(root)/.build/debug"].compactMap { $0.map { "\($0)/aerie-fuzz" } }
            .first { FileManager.default.isExecutableFile(atPath: $0) } ?? "aerie-fuzz"
    }()

    private func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: folder) }
        return try body(folder)
    }

    private func run(
        _ fuzzer: Fuzzer, in folder: String, seed: UInt64 = 1, cases: Int = 3000
    ) throws -> FuzzSupervisor.Report {
        try FuzzSupervisor(command: [Self.program], folder: folder, hangSeconds: 20)
            .run(fuzzer, CaseRunner.Plan(seed: seed, cases: cases, seconds: 60))
    }

    @Test("Each kind of failure is noticed, by a parser that has it on purpose", arguments: Canaries.all.map(\.name))
    func canaries(_ name: String) throws {
        let canary = try #require(Canaries.all.first { $0.name == name })
        let report = try withFolder { try run(canary, in: $0) }
        #expect(report.failure?.kind == canary.canary, "\(name): \(String(describing: report.failure))")
        #expect(report.isGood)
        if let bytes = report.minimizedBytes { #expect(bytes <= 2, "\(name) was left with \(bytes) bytes") }
    }

    @Test("A parser that should hold and does not is told, and its input kept with what happens")
    func keeps() throws {
        let trap = Canaries.trap
        let fuzzer = Fuzzer(trap.name, trap.about, seeds: trap.seeds, prepare: trap.prepare)
        try withFolder { folder in
            let report = try run(fuzzer, in: folder, seed: 2)
            #expect(!report.isGood)
            let file = try #require(report.file)
            let input = Array(try Data(contentsOf: URL(fileURLWithPath: file)))
            #expect(input == report.failure?.input)
            #expect(try String(contentsOfFile: file + ".txt", encoding: .utf8).hasPrefix("crash: "))
            // Moved to the regressions, it is run before anything else.
            let kept = "\(folder)/Regressions/\(fuzzer.name)"
            try FileManager.default.createDirectory(atPath: kept, withIntermediateDirectories: true)
            try FileManager.default.moveItem(atPath: file, toPath: kept + "/one")
            #expect(FuzzSupervisor.regressions(of: fuzzer, in: folder) == [input])
            let again = try run(fuzzer, in: folder, seed: 3, cases: 1)
            #expect(again.cases == fuzzer.seeds.count + 1)
            #expect(again.failure?.kind == .crash)
        }
    }

    @Test("The same seed makes the same inputs, another seed others, and none is too long")
    func deterministic() {
        for shape in [Fuzzer.Shape.bytes, .json, .protobuf, .lines] {
            let seeds = ["{\"a\":[1,{\"b\":\"c\"}]}", "\u{8}\u{1}\u{12}\u{4}\u{8}\u{1}\u{10}\u{2}", "a: b\nc=1\n"]
            let fuzzer = Fuzzer(
                "f", "", shape: shape, seeds: seeds.map { Array($0.utf8) }, dictionary: ["x"], maximumBytes: 900
            ) { { _ in "" } }
            func inputs(_ seed: UInt64) -> [[UInt8]] {
                var source = CaseSource(fuzzer, seed: seed)
                return (0..<2000).map { round in
                    let input = source.next()
                    let kind = String(repeating: "x", count: round / 50)
                    if round % 50 == 0 { source.note(input, outcome: kind) }
                    return input
                }
            }
            let first = inputs(1)
            #expect(first == inputs(1))
            #expect(first != inputs(2))
            #expect(first.allSatisfy { $0.count <= 900 })
            #expect(Set(first).count > 800, "\(shape) makes the same inputs again and again")
        }
    }

    @Test("Outcomes differ by their words, not by numbers and names in them")
    func outcomes() {
        #expect(CaseSource.kind(of: "byte 17: \"ab\" is none") == CaseSource.kind(of: "byte 3: \"c\" is none"))
        #expect(CaseSource.kind(of: "byte 17: cut short") != CaseSource.kind(of: "byte 17: too long"))
    }

    @Test("Every parser of the data plane holds against a short run")
    func smoke() throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: Self.program)
        process.arguments = ["--smoke"]
        let output = Pipe()
        process.standardOutput = output
        process.standardError = output
        try process.run()
        let text = String(decoding: try output.fileHandleForReading.readToEnd() ?? Data(), as: UTF8.self)
        process.waitUntilExit()
        #expect(process.terminationStatus == 0, "\(text)")
        #expect(text.contains("every parser held"), "\(text)")
    }
}
