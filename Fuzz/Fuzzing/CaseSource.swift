/// Makes one input after another: the same ones for the same fuzzer, seed and outcomes.
struct CaseSource {
    private let shape: Fuzzer.Shape
    private let maximumBytes: Int
    private let bytes: ByteMutator
    private var random: FuzzRandom
    private var corpus: [[UInt8]]
    private var outcomes: Set<String> = []
    private let firstKept: Int
    private static let maximumCorpus = 512

    init(_ fuzzer: Fuzzer, seed: UInt64, regressions: [[UInt8]] = []) {
        shape = fuzzer.shape
        maximumBytes = fuzzer.maximumBytes
        bytes = ByteMutator(dictionary: fuzzer.dictionary)
        random = FuzzRandom(seed: seed, name: fuzzer.name)
        corpus = fuzzer.seeds + regressions
        firstKept = corpus.count
    }

    /// How many different things have come of the inputs so far.
    var outcomeCount: Int { outcomes.count }

    mutating func next() -> [UInt8] {
        // What was found last is looked at more closely.
        let recent = corpus.count - firstKept
        let base = recent > 0 && random.isOnce(in: 2)
            ? corpus[firstKept + random.below(recent)] : corpus[random.below(corpus.count)]
        var random = random
        defer { self.random = random }
        return changed(base, &random)
    }

    /// A changed input, which takes parts of any other.
    func changed(_ base: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
        let other = random.pick(corpus)
        var input = base
        if shape == .bytes || random.isOnce(in: 3) {
            change(&input, other, &random)
        } else {
            for _ in 0..<(1 + random.below(3)) {
                switch shape {
                case .json: input = JSONMutator(dictionary: bytes.dictionary).change(input, other, &random) ?? input
                case .protobuf: input = ProtobufMutator(bytes: bytes).change(input, other, &random) ?? input
                case .lines: input = LineMutator(bytes: bytes).change(input, other, &random)
                case .bytes: break
                }
            }
            // What has not that structure any more is changed by its bytes.
            if input == base || random.isOnce(in: 4) { change(&input, other, &random) }
        }
        if input.count > maximumBytes { input.removeLast(input.count - maximumBytes) }
        return input
    }

    private func change(_ input: inout [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) {
        repeat { bytes.change(&input, other, &random) } while random.isOnce(in: 2)
    }

    /// Keeps an input that something new has come of.
    mutating func note(_ input: [UInt8], outcome: String) {
        guard outcomes.count < 4 * Self.maximumCorpus, outcomes.insert(Self.kind(of: outcome)).inserted else { return }
        if corpus.count < firstKept + Self.maximumCorpus { corpus.append(input) }
    }

    /// The outcome without what changes from input to input: its digits, and what stands in quotes.
    static func kind(of outcome: String) -> String {
        var kind: [UInt8] = []
        var isQuoted = false
        for byte in outcome.utf8.prefix(300) {
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") { isQuoted.toggle() }
            if isQuoted || byte >= 0x80 || (byte >= 0x30 && byte <= 0x39 && kind.last == UInt8(ascii: "0")) { continue }
            kind.append(byte >= 0x30 && byte <= 0x39 ? UInt8(ascii: "0") : byte)
        }
        return String(decoding: kind, as: UTF8.self)
    }
}
