import AerieJSON
import Features
import Testing

@testable import FeastAPI

@Suite("Stored values become the text that the general way makes of them")
struct ValueTextTests {
    private func text(_ value: FeatureValue) -> String? {
        value.protobuf.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(byteCount: ByteCursor.room(for: bytes), alignment: 1) { room in
                var cursor = ByteCursor(room.baseAddress!)
                guard cursor.put(value: bytes) else { return nil }
                return String(decoding: room[..<cursor.count], as: UTF8.self)
            }
        }
    }

    private static let values: [FeatureValue] = [
        .null, .bool(true), .bool(false), .int32(0), .int32(-1), .int32(.min), .int64(.max), .int64(.min), .int64(7),
        .double(0), .double(-0.0), .double(593), .double(1e300), .double(5e-324), .double(.nan), .double(.infinity),
        .double(-.infinity), .float(0.11), .float(.nan), .float(3.4e38), .timestamp(1_795_471_200), .string(""),
        .string("plain"), .string("a \"quoted\"\\ text\n\t\r\u{1}\u{1f}"), .string("李雷 😀 né"), .bytes([]),
        .bytes([0, 255, 7]), .list(.int64, []), .list(.int64, [.int64(1), .int64(-9), .int64(.max)]),
        .list(.int32, [.int32(-5), .int32(300)]), .list(.double, [.double(0.5), .double(.nan)]),
        .list(.float, [.float(0.1), .float(-.infinity)]), .list(.bool, [.bool(true), .bool(false)]),
        .list(.string, [.string("é"), .string(""), .string("\"")]), .list(.bytes, [.bytes([1])]),
        .list(.timestamp, [.timestamp(5)]),
    ]

    @Test(arguments: values) func theSame(_ value: FeatureValue) {
        #expect(text(value) == value.json.text())
    }

    @Test("random values of every type")
    func random() {
        var random = SeededNumbers(state: 17)
        for _ in 0..<5000 {
            let bits = random.next()
            let value: FeatureValue =
                switch bits % 6 {
                case 0: .double(Double(bitPattern: random.next()))
                case 1: .float(Float(bitPattern: UInt32(truncatingIfNeeded: random.next())))
                case 2: .int64(Int64(bitPattern: random.next() >> (bits >> 8 & 63)))
                case 3: .int32(Int32(truncatingIfNeeded: random.next()))
                case 4: .string(String((0..<(bits >> 8 & 15)).map { _ in
                    Character(UnicodeScalar(UInt8(truncatingIfNeeded: random.next() & 127))) }))
                default: .list(.double, (0..<(bits >> 8 & 7)).map { _ in .double(Double(bitPattern: random.next())) })
                }
            #expect(text(value) == value.json.text())
        }
    }

    @Test("damaged bytes are told, and nothing is read past them", arguments: [
        [0x29, 1], [0x12, 9, 65], [0x20], [0x20, 0x80], [0xff, 0xff], [0x72, 3, 10, 1],
    ] as [[UInt8]])
    func damaged(_ bytes: [UInt8]) {
        let isWhole = bytes.withUnsafeBytes { bytes in
            withUnsafeTemporaryAllocation(byteCount: 200, alignment: 1) { room in
                var cursor = ByteCursor(room.baseAddress!)
                return cursor.put(value: bytes)
            }
        }
        #expect(!isWhole)
    }

    @Test(arguments: [
        0, 1, 999, 1000, 1_795_471_200_000_000, 1_795_471_200_123_000, 1_795_471_200_123_456, 253_402_300_799_999_999,
        253_402_300_800_000_000, -1, -62_135_596_800_000_000,
    ] as [Int64])
    func moments(_ micros: Int64) {
        let text = withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { room in
            var cursor = ByteCursor(room.baseAddress!)
            cursor.put(moment: micros)
            return String(decoding: room[..<cursor.count], as: UTF8.self)
        }
        #expect(text == "\"\(FeatureTime.text(micros))\"")
    }
}

/// splitmix64, so that a failure can be seen again.
struct SeededNumbers: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var bits = state
        bits = (bits ^ (bits >> 30)) &* 0xbf58_476d_1ce4_e5b9
        bits = (bits ^ (bits >> 27)) &* 0x94d0_49bb_1331_11eb
        return bits ^ (bits >> 31)
    }
}

