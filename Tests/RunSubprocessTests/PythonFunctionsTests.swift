import AerieCore
import Features
import Foundation
import Logging
import Testing

@testable import RunSubprocess

@Suite("Functions in Python") struct PythonFunctionsTests {
    private func functions(_ limit: Duration = .seconds(20), processes: Int = 1) throws -> PythonFunctions {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map { "\($0)/python3" }
        let python = try #require(path.first { FileManager.default.isExecutableFile(atPath: $0) })
        return PythonFunctions(python: python, processes: processes, limit: limit, logger: Logger(label: "test"))
    }

    private func call(_ body: String, type: FeatureType = .int64, isSingleton: Bool = false) -> FunctionCall {
        FunctionCall(
            view: "v",
            function: OnDemandFunction(mode: .python, isSingleton: isSingleton, source: "def f(i):\n  \(body)"),
            columns: [.init(names: ["a", "w__a"], type: .int64), .init(names: ["b"], type: .double)],
            features: [.init(name: "x", type: type)])
    }

    private let values: [[FeatureValue]] = [
        [.int64(1), .null, .int64(9_007_199_254_740_993)], [.double(0.5), .double(.infinity), .null],
    ]

    @Test("values go there and come back as they are: nulls, whole numbers of 64 bits, infinities, lists, bytes")
    func exact() async throws {
        let functions = try functions()
        defer { functions.close() }
        func run(_ body: String, _ type: FeatureType) async throws -> [FeatureValue] {
            try await functions.run(call(body, type: type), values, rows: 3)[0]
        }
        #expect(try await run("return {'x': i['w__a']}", .int64) == values[0])
        #expect(try await run("return {'v__x': i['b']}", .double) == values[1])
        #expect(try await run("return {'x': [float('nan'), -1e999, 2]}", .double) == [.null, .double(-.infinity), .double(2)])
        #expect(try await run("return {'x': [[a] for a in (1, 2)] + [None]}", .int64List)
            == [.list(.int64, [.int64(1)]), .list(.int64, [.int64(2)]), .null])
        #expect(try await run("return {'x': [b'\\x00\\xff', None, b'']}", .bytes) == [.bytes([0, 255]), .null, .bytes([])])
        #expect(try await run("return {'x': [True, 0, None]}", .bool) == [.bool(true), .bool(false), .null])
        #expect(try await run("return {'x': 'a\\n'.join('ü') and ['ü', '\"', None]}", .string)
            == [.string("ü"), .string("\""), .null])
    }

    @Test("a singleton is called for each row")
    func singleton() async throws {
        let functions = try functions()
        defer { functions.close() }
        let rows = try await functions.run(
            call("return {'x': -1 if i['a'] is None else i['a'] % 7}", isSingleton: true), values, rows: 3)
        #expect(rows == [[.int64(1), .int64(-1), .int64(9_007_199_254_740_993 % 7)]])
    }

    @Test("what does not fit is refused with the view and the feature", arguments: [
        ("return {}", "no column 'x'"), ("return {'x': [1]}", "1 values of feature 'x' for 3 rows"),
        ("return {'x': ['a', 1, 2]}", "'a' (str) in row 0 of feature 'x', which is INT32"),
        ("return {'x': [1, 2, 1 << 31]}", "in row 2"), ("return 5", "gave int"), ("raise KeyError('k')", "KeyError: 'k'"),
        ("import nothing_of_the_kind", "nothing_of_the_kind"),
    ])
    func refused(_ body: String, _ words: String) async throws {
        let functions = try functions()
        defer { functions.close() }
        let error = await #expect(throws: AerieError.self) {
            try await functions.run(call(body, type: .int32), values, rows: 3)
        }
        #expect(error?.code == .failedPrecondition)
        #expect(error?.message.contains("'v'") == true && error?.message.contains(words) == true, "\(error as Any)")
    }

    @Test("a pickle that is none, and a source that is none, are refused when they are loaded")
    func unreadable() async throws {
        let functions = try functions()
        defer { functions.close() }
        var broken = call("")
        broken.function = OnDemandFunction(mode: .python, source: "def f(", pickle: [1, 2, 3])
        let error = await #expect(throws: AerieError.self) { try await functions.run(broken, values, rows: 3) }
        #expect(error?.message.contains("cannot be loaded") == true)
        #expect(try await functions.run(call("return {'x': [1, 2, 3]}"), values, rows: 3).count == 1)
    }

    @Test("a process that ends, and one that never does, fail the call under way alone")
    func crash() async throws {
        let functions = try functions()
        defer { functions.close() }
        for _ in 0..<2 {
            let error = await #expect(throws: AerieError.self) {
                try await functions.run(
                    call("import os\n  print('so long', flush=True)\n  os.kill(os.getpid(), 9)"), values, rows: 3)
            }
            #expect(error?.code == .unavailable && error?.message.contains("signal 9") == true)
            #expect(error?.message.contains("so long") == true)
            #expect(try await functions.run(call("return {'x': [7, 8, 9]}"), values, rows: 3)[0][0] == .int64(7))
        }
        let quick = try self.functions(.milliseconds(1500))
        defer { quick.close() }
        let error = await #expect(throws: AerieError.self) {
            try await quick.run(call("while True: pass"), values, rows: 3)
        }
        #expect(error?.code == .deadlineExceeded && error?.message.contains("'v'") == true)
    }

    @Test("calls beside each other each have their own answer")
    func beside() async throws {
        let functions = try functions(processes: 2)
        defer { functions.close() }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    let given: [[FeatureValue]] = [[.int64(Int64(number))], [.null]]
                    let got = try await functions.run(call("return {'x': [a * 2 for a in i['a']]}"), given, rows: 1)
                    #expect(got == [[.int64(Int64(number) * 2)]])
                }
            }
            try await group.waitForAll()
        }
    }

    @Test("an interpreter that is not there is said, and so is the stop")
    func absent() async throws {
        let none = PythonFunctions(python: "/no/python", processes: 1, logger: Logger(label: "test"))
        let error = await #expect(throws: AerieError.self) { try await none.run(call("pass"), values, rows: 3) }
        #expect(error?.code == .unavailable && error?.message.contains("/no/python") == true)
        none.close()
        let late = await #expect(throws: AerieError.self) { try await none.run(call("pass"), values, rows: 3) }
        #expect(late?.code == .unavailable || late?.code == .resourceExhausted)
    }
}
