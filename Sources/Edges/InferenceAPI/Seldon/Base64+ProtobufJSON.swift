import AerieCore

extension Base64 {
    /// As protobuf's JSON has it: of either alphabet, padded or not.
    /// - Returns: `nil` for another character, or a length that no bytes have.
    static func decode(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var group = UInt32(0)
        var bits = 0
        var characters = Substring(text).utf8
        while characters.last == UInt8(ascii: "=") { characters.removeLast() }
        if characters.count % 4 == 1 || text.utf8.count - characters.count > 2 { return nil }
        for character in characters {
            let value: UInt8
            switch character {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = character - UInt8(ascii: "A")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): value = character - UInt8(ascii: "a") + 26
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = character - UInt8(ascii: "0") + 52
            case UInt8(ascii: "+"), UInt8(ascii: "-"): value = 62
            case UInt8(ascii: "/"), UInt8(ascii: "_"): value = 63
            default: return nil
            }
            group = group << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: group >> UInt32(bits)))
            }
        }
        return bytes
    }
}
