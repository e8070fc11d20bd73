extension EntityKey {
    /// A key read back from its bytes.
    public struct Parsed: Sendable {
        /// In the order of their names.
        public var values: [(name: String, value: FeatureValue)]
        /// How many bytes the key has; others may follow.
        public var count: Int
    }

    /// - Returns: `nil` if the bytes do not begin with a key.
    public static func parse(_ bytes: UnsafeRawBufferPointer) -> Parsed? {
        var at = 0
        func number() -> Int? {
            guard bytes.count - at >= 4 else { return nil }
            defer { at += 4 }
            return Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
        }
        func content() -> UnsafeRawBufferPointer? {
            guard let count = number(), count <= bytes.count - at else { return nil }
            defer { at += count }
            return UnsafeRawBufferPointer(rebasing: bytes[at..<(at + count)])
        }
        guard let count = number(), (1...1000).contains(count) else { return nil }
        var names: [String] = []
        for _ in 0..<count {
            guard number() == 2, let name = content() else { return nil }
            names.append(String(decoding: name, as: UTF8.self))
        }
        var values: [(name: String, value: FeatureValue)] = []
        for name in names {
            guard let type = number(), let bytes = content(), let value = value(type, bytes) else { return nil }
            values.append((name, value))
        }
        return Parsed(values: values, count: at)
    }

    private static func value(_ type: Int, _ bytes: UnsafeRawBufferPointer) -> FeatureValue? {
        switch (type, bytes.count) {
        case (1, _): .bytes(Array(bytes))
        case (2, _): .string(String(decoding: bytes, as: UTF8.self))
        case (3, 4): .int32(Int32(littleEndian: bytes.loadUnaligned(as: Int32.self)))
        case (4, 8): .int64(Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
        case (8, 8): .timestamp(Int64(littleEndian: bytes.loadUnaligned(as: Int64.self)))
        default: nil
        }
    }
}
