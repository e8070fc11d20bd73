import Foundation

/// Makes a failing input smaller while it still fails in the same way: parts are taken out, halves first.
struct CaseMinimizer {
    let process: CaseProcess
    /// Processes started at most, one for each part that can be spared.
    private static let maximumRuns = 200
    private static let candidatesAtOnce = 512

    func minimize(_ failure: FuzzFailure) throws -> [UInt8] {
        var smallest = failure.input
        // An input that hangs costs the limit's seconds each time.
        var runs = failure.kind == .hang ? 8 : Self.maximumRuns
        var size = (smallest.count + 1) / 2
        while size > 0, runs > 0 {
            let starts = Array(stride(from: 0, to: smallest.count, by: size).prefix(Self.candidatesAtOnce))
            let candidates = starts.map { start in
                Array(smallest[..<start] + smallest[min(smallest.count, start + size)...])
            }
            runs -= 1
            if let found = try firstFailing(candidates, as: failure.kind) {
                smallest = found
                size = min(size, max(1, smallest.count / 2))
                if smallest.isEmpty { break }
            } else {
                size /= 2
            }
        }
        return smallest
    }

    private func firstFailing(_ candidates: [[UInt8]], as kind: FuzzFailure.Kind) throws -> [UInt8]? {
        let path = FileManager.default.temporaryDirectory.path + "/aerie-fuzz-\(UUID().uuidString).batch"
        defer { unlink(path) }
        try Data(CaseBatch.encode(candidates)).write(to: URL(fileURLWithPath: path))
        let outcome = try process.run(["--replay", path])
        guard let failure = outcome.failure, failure.kind == kind,
            candidates.indices.contains(outcome.sequence - 1)
        else { return nil }
        return candidates[outcome.sequence - 1]
    }
}

/// Several inputs in one file: a little-endian length before each.
public enum CaseBatch {
    static func encode(_ inputs: [[UInt8]]) -> [UInt8] {
        inputs.flatMap { input in withUnsafeBytes(of: UInt32(input.count).littleEndian) { Array($0) } + input }
    }

    public static func decode(_ bytes: [UInt8]) -> [[UInt8]] {
        var inputs: [[UInt8]] = []
        var rest = bytes[...]
        while rest.count >= 4 {
            let length = rest.prefix(4).reversed().reduce(0) { $0 << 8 | Int($1) }
            rest = rest.dropFirst(4)
            inputs.append(Array(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return inputs
    }
}
