import Features
import Testing

/// Values that the real Feast 0.67 has written.
@Suite struct OnlineCodingTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }

    @Test func entityKeys() throws {
        #expect(
            hex(try EntityKey(names: ["driver_id"]).bytes([.int64(1001)]))
                == "0100000002000000090000006472697665725f69640400000008000000e903000000000000")
        // The values come in the order of the names.
        let key = EntityKey(names: ["b", "a"])
        #expect(key.names == ["a", "b"])
        #expect(
            hex(try key.bytes([.string("x"), .int64(2)]))
                == "0200000002000000010000006102000000010000006202000000010000007804000000080000000200000000000000")
        #expect(throws: (any Error).self) { try key.bytes([.null, .int64(1)]) }
        #expect(throws: (any Error).self) { try key.bytes([.double(1), .int64(1)]) }
    }

    @Test func fieldsOfRedis() {
        #expect(murmur3("driver_stats:f0".utf8) == 0xf8b1_0978)
        #expect(murmur3("".utf8) == 0)
        // Published values of the 32-bit function with seed 0.
        #expect(murmur3("test".utf8) == 0xba6b_d213)
        #expect(murmur3("Hello, world!".utf8) == 0xc036_3e43)
    }

    @Test(arguments: [
        (FeatureValue.int64(7), "2007"), (.float(0.5), "350000003f"), (.string("736"), "1203373336"), (.null, ""),
        (.bool(false), "3800"), (.list(.int64, [.int64(1), .int64(300)]), "72050a0301ac02"),
    ])
    func values(_ value: FeatureValue, _ expected: String) throws {
        #expect(hex(value.protobuf) == expected)
        let bytes = value.protobuf
        let back = try bytes.withUnsafeBytes { try FeatureValue(protobuf: $0) }
        #expect(back == value)
    }

    @Test func everyKindComesBack() throws {
        let all: [FeatureValue] = [
            .bool(true), .int32(-5), .int64(.min), .double(-0.0), .string("né"), .bytes([0, 255]), .timestamp(1),
            .list(.string, [.string(""), .string("b")]), .list(.float, [.float(1), .float(-2)]),
            .list(.double, [.double(.infinity)]), .list(.bool, [.bool(true), .bool(false)]),
            .list(.int32, [.int32(-1)]), .list(.string, []),
        ]
        for value in all {
            let bytes = value.protobuf
            #expect(try bytes.withUnsafeBytes { try FeatureValue(protobuf: $0) } == value)
        }
        #expect(throws: (any Error).self) {
            _ = try [UInt8]([0x12, 0x05, 0x61]).withUnsafeBytes { try FeatureValue(protobuf: $0) }
        }
    }
}
