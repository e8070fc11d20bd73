/// Parsers with a mistake put in, to see that the machinery notices each kind of failure and makes its input small.
public enum Canaries {
    public static var all: [Fuzzer] {
        #if FUZZ_COVERAGE
            [trap, overread, finding, hang, leak, maze]
        #else
            [trap, overread, finding, hang, leak]
        #endif
    }

    private static let seeds = [Array("5:hello;3:abc;".utf8)]

    /// Trusts a length.
    public static var trap: Fuzzer {
        Fuzzer("canary-trap", "trusts a length that the input says", seeds: seeds, canary: .crash) {
            { input in
                let bytes = Array(input)
                var at = 0
                var total = 0
                while at < bytes.count, bytes[at] >= 0x30, bytes[at] <= 0x39 {
                    let length = Int(bytes[at]) - 0x30
                    guard at + 1 < bytes.count, bytes[at + 1] == UInt8(ascii: ":") else { return "no colon" }
                    for place in 0..<length { total += Int(bytes[at + 2 + place]) }
                    at += length + 3
                }
                return "\(total)"
            }
        }
    }

    /// Reads the byte behind the end, unchecked, as C would.
    public static var overread: Fuzzer {
        Fuzzer("canary-overread", "looks for an end that may not be there", seeds: seeds, canary: .crash) {
            { input in
                guard var pointer = input.baseAddress else { return "empty" }
                while pointer.load(as: UInt8.self) != UInt8(ascii: ";") { pointer += 1 }
                return "ok"
            }
        }
    }

    /// Reads one input in two ways.
    public static var finding: Fuzzer {
        Fuzzer("canary-finding", "counts in two ways that differ for a byte", seeds: seeds, canary: .finding) {
            { input in
                let colons = input.reduce(0) { $0 + ($1 == UInt8(ascii: ":") ? 1 : 0) }
                let others = input.reduce(0) { $0 + ($1 == UInt8(ascii: ":") || $1 == 0x80 ? 1 : 0) }
                if colons != others { throw FuzzFinding("\(colons) or \(others)?") }
                return "ok"
            }
        }
    }

    /// Never ends for an empty part.
    public static var hang: Fuzzer {
        Fuzzer("canary-hang", "does not go on at a zero", seeds: seeds, canary: .hang) {
            { input in
                var at = 0
                while at < input.count { at += input[at] == UInt8(ascii: "0") || input[at] == 0 ? 0 : 1 }
                return "ok"
            }
        }
    }

    /// Fails behind five bytes that nobody draws by chance: what has the first is on the way to the second.
    public static var maze: Fuzzer {
        Fuzzer("canary-maze", "has a mistake that only coverage leads to", seeds: seeds, canary: .finding) {
            { input in
                guard input.count > 4, input[0] == 9, input[1] == 200, input[2] == 31, input[3] == 77, input[4] == 254
                else { return "wall" }
                throw FuzzFinding("the way out")
            }
        }
    }

    /// Keeps what it should give back.
    public static var leak: Fuzzer {
        Fuzzer("canary-leak", "gives no memory back", seeds: seeds, canary: .leak) {
            { input in
                let kept = UnsafeMutableRawPointer.allocate(byteCount: 8192, alignment: 8)
                kept.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: input.count), count: 8192)
                return "ok"
            }
        }
    }
}
