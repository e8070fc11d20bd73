import AerieCore
import AerieJSON
import AerieWire
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

    private static let uuid = "00000000-0000-0000-0000-000000000007"

    @Test(arguments: [
        (FeatureType.json, #""{\"a\": 1}""#, "8202087b2261223a20317d"),
        (.jsonList, #"["{\"a\": 1}", 2]"#, "8a020d0a087b2261223a20317d0a0132"),
        (.uuid, "\"\(uuid)\"", "a2022430303030303030302d303030302d303030302d303030302d303030303030303030303037"),
        (.uuidSet, "[\"\(uuid)\"]", "c202260a2430303030303030302d303030302d303030302d303030302d303030303030303030303037"),
        (.decimal, #""1.50""#, "e20204312e3530"), (.decimalList, #"["1.50"]"#, "ea02060a04312e3530"),
        (.bytesList, #"["AGE="]"#, "5a040a020061"),
        (.timestampList, #"["1970-01-01T00:05:00Z"]"#, "9201040a02ac02"), (.int64Set, "[1, 1]", "ca01030a0101"),
        (.doubleSet, "[2.5]", "d2010a0a080000000000000440"), (.stringSet, #"["x"]"#, "ba01030a0178"),
        (.map, #"{"k": 1}"#, "a201090a070a016b12022001"),
        (.map, #""{\"k\": {\"a\": null}}""#, "a201110a0f0a016b120aa201070a050a01611200"),
        (
            .map, #"{"k": [1, 2], "l": ["a"], "m": [{"z": 1}]}"#,
            "a2012e0a0b0a016b120672040a0201020a0a0a016c120562030a01610a130a016d120eaa010b0a090a070a017a12022001"
        ),
        (.mapList, #"[{"k": true}]"#, "aa010b0a090a070a016b12023801"),
        (.structure, #"{"x": 1.5}"#, "9202100a0e0a0178120929000000000000f83f"),
        (.structureList, #"["{\"x\": \"y\"}"]"#, "9a020c0a0a0a080a01781203120179"),
        (.valueList, "[[1, 2], [3]]", "d2020f0a0672040a0201020a0572030a0103"),
        (.valueSet, "[[1, 2]]", "da02080a0672040a020102"), (.valueList, "[[[1]]]", "d2020c0a0ad202070a0572030a0101"),
    ])
    func typesOfMoreThanOneNumber(_ type: FeatureType, _ json: String, _ expected: String) throws {
        let value = try FeatureValue(json: try JSONValue.parse(json), type: type, field: "f")
        let bytes = value.protobuf
        #expect(hex(bytes) == expected)
        #expect(try bytes.withUnsafeBytes { try FeatureValue(protobuf: $0) } == value)
    }

    @Test(arguments: [
        (FeatureType.json, #""{""#), (.uuid, #""7""#), (.decimal, #""1.5.0""#), (.map, "[1]"), (.structure, #""x""#),
        (.mapList, "[1]"), (.valueList, "[1]"), (.int64Set, #"["x"]"#), (.bytesList, "[1]"),
    ])
    func whatIsNoneIsRefused(_ type: FeatureType, _ json: String) throws {
        let parsed = try JSONValue.parse(json)
        #expect(throws: AerieError.self) { try FeatureValue(json: parsed, type: type, field: "f") }
    }

    @Test(arguments: [
        (FeatureType.int64List, "[1, null]", "[1,0]"), (.floatList, "[null, 0.5]", "[0.0,0.5]"),
        (.boolList, "[null]", "[false]"), (.stringList, #"["a", null]"#, #"["a",""]"#), (.bytesList, "[null]", #"[""]"#),
        (.timestampList, "[1, null]", "[1,-9223372036854775808]"), (.uuidList, "[null]", #"[""]"#),
        (.decimalList, #"["1.5", null]"#, #"["1.5",""]"#), (.int64Set, "[1, null]", nil), (.jsonList, "[null]", nil),
    ] as [(FeatureType, String, String?)])
    func nullsWithinLists(_ type: FeatureType, _ json: String, _ expected: String?) throws {
        let parsed = try JSONValue.parse(json)
        guard let expected else {
            #expect(throws: AerieError.self) { try FeatureValue(json: parsed, type: type, field: "f") }
            return
        }
        let value = try FeatureValue(json: parsed, type: type, field: "f")
        #expect(value.json == (try JSONValue.parse(expected)))
        let back = try value.protobuf.withUnsafeBytes { try FeatureValue(protobuf: $0) }
        #expect(back == value)
    }

    @Test func valuesAreOnlySoDeep() throws {
        var bytes = FeatureValue.int64(1).protobuf
        for _ in 0..<80 {
            var list = ProtobufWriter()
            list.field(1, bytes: bytes)
            var value = ProtobufWriter()
            value.field(FeatureType.valueList.feastNumber, bytes: list.bytes)
            bytes = value.bytes
        }
        #expect(throws: AerieError.self) { try bytes.withUnsafeBytes { try FeatureValue(protobuf: $0) } }
    }

    @Test func everyTypeHasItsNumber() {
        for type in FeatureType.allCases { #expect(FeatureType(feastNumber: type.feastNumber) == type) }
        #expect(FeatureType(name: "Set(Uuid)") == .uuidSet && FeatureType(name: "Array(Map)") == .mapList)
        #expect(FeatureType(name: "Array(Set(Int64))") == .valueList && FeatureType(name: "Set(Array(String))") == .valueSet)
        #expect(FeatureType(name: "Array(Nothing)") == nil && FeatureType(name: "Set(Map)") == nil)
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
