/// Changes to bytes that know nothing of what they mean.
struct ByteMutator {
    let dictionary: [[UInt8]]

    private static let interestingBytes: [UInt8] = [
        0, 1, 0x7f, 0x80, 0xff, 0x0a, 0x0d, 0x20, 0x22, 0x5b, 0x5c, 0x7b, 0x7d,
    ]
    static let interestingNumbers: [Int64] = [
        0, 1, -1, 2, 3, 7, 8, 15, 16, 63, 64, 127, 128, -128, 255, 256, 1000, 4095, 4096, 32767, -32768, 65535, 65536,
        1 << 20, 1 << 24, 1 << 27, (1 << 31) - 1, -(1 << 31), 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 40, (1 << 53) + 1,
        1 << 61, 1 << 62, .max, .min, .max - 7,
    ]
    /// Numbers as a text may hold them, beyond what an integer does.
    static let interestingDigits = [
        "0", "-0", "-1", "1e308", "1e309", "-1e400", "1e-400", "0.1", "9007199254740993", "9223372036854775807",
        "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "18446744073709551615",
        "18446744073709551616", "340282366920938463463374607431768211456", "4294967296", "2147483648", "00", "01", "1.",
        ".5", "1e", "1e+", "0x10", "NaN", "Infinity", "-Infinity", "1e5", "1E-5", "123456789012345678901234567890",
    ]

    /// One change.
    /// - Parameter other: another input, to take parts from.
    func change(_ bytes: inout [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) {
        if bytes.isEmpty { bytes = [random.pick(Self.interestingBytes)] }
        switch random.below(16) {
        case 0: bytes[random.below(bytes.count)] ^= 1 << UInt8(random.below(8))
        case 1: bytes[random.below(bytes.count)] = random.pick(Self.interestingBytes)
        case 2: bytes[random.below(bytes.count)] = UInt8(truncatingIfNeeded: random.next())
        case 3: bytes[random.below(bytes.count)] &+= UInt8(truncatingIfNeeded: random.below(33) - 16)
        case 4, 5: putNumber(&bytes, &random)
        case 6: bytes.removeSubrange(random.range(in: bytes.count))
        case 7: bytes.removeLast(1 + random.below(bytes.count))
        case 8: repeatPart(&bytes, &random)
        case 9: bytes.insert(contentsOf: word(&random), at: random.below(bytes.count + 1))
        case 10: bytes.replaceSubrange(random.range(in: bytes.count), with: word(&random))
        case 11: bytes.insert(contentsOf: other[random.range(in: other.count)], at: random.below(bytes.count + 1))
        case 12: splice(&bytes, other, &random)
        case 13, 14: changeDigits(&bytes, &random)
        default: swapParts(&bytes, &random)
        }
    }

    private func word(_ random: inout FuzzRandom) -> [UInt8] {
        if dictionary.isEmpty || random.isOnce(in: 8) {
            return (0..<(1 + random.below(8))).map { _ in UInt8(truncatingIfNeeded: random.next()) }
        }
        return random.pick(dictionary)
    }

    /// A number that is a border somewhere, of any width and byte order, over what is there; or what is there moved a
    /// little.
    private func putNumber(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let width = [1, 2, 4, 8][random.below(4)]
        guard bytes.count >= width else { return }
        let start = random.below(bytes.count - width + 1)
        let isBigEndian = random.isOnce(in: 2)
        var number = UInt64(bitPattern: random.pick(Self.interestingNumbers))
        if random.isOnce(in: 3) {
            number = UInt64(truncatingIfNeeded: random.below(33) - 16)
            for place in 0..<width {
                let shift = UInt64(8 * (isBigEndian ? width - 1 - place : place))
                number &+= UInt64(bytes[start + place]) << shift
            }
        }
        for place in 0..<width {
            let shift = UInt64(8 * (isBigEndian ? width - 1 - place : place))
            bytes[start + place] = UInt8(truncatingIfNeeded: number >> shift)
        }
    }

    private func repeatPart(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let range = random.range(in: bytes.count)
        let part = Array(bytes[range])
        let times = random.isOnce(in: 6) ? 1 + random.below(2000) : 1 + random.below(4)
        for _ in 0..<min(times, (16 << 10) / max(1, part.count)) {
            bytes.insert(contentsOf: part, at: range.upperBound)
        }
    }

    private func splice(_ bytes: inout [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) {
        bytes = Array(bytes[..<random.below(bytes.count + 1)] + other[random.below(other.count + 1)...])
    }

    /// Another number where digits stand.
    private func changeDigits(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        func isDigit(_ byte: UInt8) -> Bool { byte >= 0x30 && byte <= 0x39 }
        let from = random.below(bytes.count)
        guard let start = bytes[from...].firstIndex(where: isDigit) else { return }
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        let digits = random.isOnce(in: 2)
            ? random.pick(Self.interestingDigits) : String(random.pick(Self.interestingNumbers))
        bytes.replaceSubrange(start..<end, with: digits.utf8)
    }

    private func swapParts(_ bytes: inout [UInt8], _ random: inout FuzzRandom) {
        let first = random.range(in: bytes.count)
        let part = Array(bytes[first])
        bytes.removeSubrange(first)
        bytes.insert(contentsOf: part, at: random.below(bytes.count + 1))
    }
}
