/// Changes to a text of lines, such as a head of HTTP or a model file of names and values.
struct LineMutator {
    let bytes: ByteMutator

    func change(_ text: [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) -> [UInt8] {
        let newline = UInt8(ascii: "\n")
        var lines = text.split(separator: newline, omittingEmptySubsequences: false).map { Array($0) }
        let others = other.split(separator: newline, omittingEmptySubsequences: false).map { Array($0) }
        let at = random.below(lines.count)
        switch random.below(8) {
        case 0: lines.remove(at: at)
        case 1: lines.insert(lines[at], at: random.below(lines.count + 1))
        case 2: lines.swapAt(at, random.below(lines.count))
        case 3: lines.insert(random.pick(others), at: at)
        case 4:
            let longest = max(1, (16 << 10) / max(1, lines[at].count + 1))
            lines.insert(contentsOf: Array(repeating: lines[at], count: min(longest, random.below(600))), at: at)
        case 5: changeValue(&lines[at], &random)
        case 6: lines[at].append(UInt8(ascii: "\r"))
        default: bytes.change(&lines[at], random.pick(others), &random)
        }
        return Array(lines.joined(separator: [newline]))
    }

    /// What is behind the line's `=` or `:`.
    private func changeValue(_ line: inout [UInt8], _ random: inout FuzzRandom) {
        guard let mark = line.firstIndex(where: { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ":") }) else { return }
        let value = Array(line[(mark + 1)...])
        switch random.below(4) {
        case 0: line.removeSubrange((mark + 1)...)
        case 1: line += [UInt8(ascii: " ")] + value
        case 2: line.replaceSubrange((mark + 1)..., with: random.pick(ByteMutator.interestingDigits).utf8)
        default: line.replaceSubrange((mark + 1)..., with: String(random.pick(ByteMutator.interestingNumbers)).utf8)
        }
    }
}
