/// Changes to a protobuf message that leave it one: fields moved, numbers at their borders, messages in messages, and
/// at times a length that is not true.
struct ProtobufMutator {
    let bytes: ByteMutator

    private struct Field {
        var number: UInt64
        var wire: UInt64
        var value: Value
    }

    private enum Value {
        case varint(UInt64), fixed([UInt8]), content([UInt8]), message([Field])
        /// A length that is said, and what is there.
        case lie(UInt64, [UInt8])
    }

    /// `nil` if the bytes are no message.
    func change(_ message: [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) -> [UInt8]? {
        guard var fields = Self.parse(message[...], depth: 0) else { return nil }
        for _ in 0..<(1 + random.below(3)) { fields = change(fields, other, &random) }
        return Self.encode(fields)
    }

    // MARK: Reading and writing

    private static func parse(_ bytes: ArraySlice<UInt8>, depth: Int) -> [Field]? {
        var fields: [Field] = []
        var rest = bytes
        while !rest.isEmpty {
            guard let tag = varint(&rest), tag >> 3 > 0, tag >> 3 < 1 << 29 else { return nil }
            let value: Value
            switch tag & 7 {
            case 0:
                guard let number = varint(&rest) else { return nil }
                value = .varint(number)
            case 1, 5:
                let width = tag & 7 == 1 ? 8 : 4
                guard rest.count >= width else { return nil }
                value = .fixed(Array(rest.prefix(width)))
                rest = rest.dropFirst(width)
            case 2:
                guard let length = varint(&rest), length <= UInt64(rest.count) else { return nil }
                let content = rest.prefix(Int(length))
                rest = rest.dropFirst(Int(length))
                let inner = depth < 8 && content.count > 1 ? parse(content, depth: depth + 1) : nil
                value = inner.map { .message($0) } ?? .content(Array(content))
            default: return nil
            }
            fields.append(Field(number: tag >> 3, wire: tag & 7, value: value))
        }
        return fields
    }

    private static func varint(_ rest: inout ArraySlice<UInt8>) -> UInt64? {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while shift < 64, let byte = rest.popFirst() {
            value |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return value }
            shift += 7
        }
        return nil
    }

    private static func encode(_ fields: [Field]) -> [UInt8] {
        var bytes: [UInt8] = []
        for field in fields {
            append(field.number << 3 | field.wire, &bytes)
            switch field.value {
            case .varint(let number): append(number, &bytes)
            case .fixed(let content): bytes += content
            case .content(let content):
                append(UInt64(content.count), &bytes)
                bytes += content
            case .message(let inner):
                let content = encode(inner)
                append(UInt64(content.count), &bytes)
                bytes += content
            case .lie(let length, let content):
                append(length, &bytes)
                bytes += content
            }
        }
        return bytes
    }

    private static func append(_ number: UInt64, _ bytes: inout [UInt8]) {
        var rest = number
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    // MARK: Changes

    private func change(_ fields: [Field], _ other: [UInt8], _ random: inout FuzzRandom) -> [Field] {
        guard !fields.isEmpty else { return [number(1 + UInt64(random.below(8)), &random)] }
        var fields = fields
        let at = random.below(fields.count)
        // Mostly further down, where the structure is.
        if case .message(let inner) = fields[at].value, !random.isOnce(in: 4) {
            fields[at].value = .message(change(inner, other, &random))
            return fields
        }
        switch random.below(9) {
        case 0: fields.remove(at: at)
        case 1: fields.insert(fields[at], at: random.below(fields.count + 1))
        case 2: fields[at].number = random.isOnce(in: 8) ? (1 << 29) - 1 : 1 + UInt64(random.below(12))
        case 3: fields[at] = number(fields[at].number, &random)
        case 4: fields.swapAt(at, random.below(fields.count))
        case 5:
            let most = 1 + 8000 / max(1, Self.encode([fields[at]]).count)
            fields += Array(repeating: fields[at], count: random.isOnce(in: 4) ? random.below(min(most, 500)) : 2)
        case 6: nest(&fields[at], &random)
        case 7: lie(&fields[at], &random)
        default: changeValue(&fields[at], other, &random)
        }
        return fields
    }

    private func number(_ number: UInt64, _ random: inout FuzzRandom) -> Field {
        let value = UInt64(bitPattern: random.pick(ByteMutator.interestingNumbers))
        switch random.below(3) {
        case 0: return Field(number: number, wire: 0, value: .varint(value))
        case 1: return Field(number: number, wire: 1, value: .fixed(withUnsafeBytes(of: value) { Array($0) }))
        default:
            let half = UInt32(truncatingIfNeeded: value)
            return Field(number: number, wire: 5, value: .fixed(withUnsafeBytes(of: half) { Array($0) }))
        }
    }

    private func nest(_ field: inout Field, _ random: inout FuzzRandom) {
        for _ in 0..<(random.isOnce(in: 4) ? random.below(300) : 1 + random.below(3)) {
            let number = random.isOnce(in: 3) ? 1 + UInt64(random.below(8)) : field.number
            field = Field(number: number, wire: 2, value: .message([field]))
        }
    }

    private func lie(_ field: inout Field, _ random: inout FuzzRandom) {
        let length = UInt64(bitPattern: random.pick(ByteMutator.interestingNumbers))
        switch field.value {
        case .message(let inner): field.value = .lie(length, Self.encode(inner))
        case .content(let content): field.value = .lie(length, content)
        default: field = Field(number: field.number, wire: 2, value: .lie(length, []))
        }
    }

    private func changeValue(_ field: inout Field, _ other: [UInt8], _ random: inout FuzzRandom) {
        switch field.value {
        case .varint: field.value = .varint(UInt64(bitPattern: random.pick(ByteMutator.interestingNumbers)))
        case .content(var content):
            bytes.change(&content, other, &random)
            field.value = .content(content)
        case .fixed(var content):
            for index in content.indices { content[index] = UInt8(truncatingIfNeeded: random.next()) }
            field.value = .fixed(content)
        case .message(let inner): field.value = .content(Self.encode(inner).reversed())
        case .lie: break
        }
    }
}
