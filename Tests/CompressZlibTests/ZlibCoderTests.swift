import AerieCore
import Testing

@testable import CompressZlib

@Suite("gzip and deflate")
struct ZlibCoderTests {
    private func unpack(_ bytes: [UInt8], _ coding: ContentCoding, limit: Int = 1 << 20) throws -> [UInt8] {
        let coder = try ZlibCoder()
        return try bytes.withUnsafeBytes { bytes throws(AerieError) in try coder.unpack(bytes, coding, limit: limit) }
    }

    private func pack(_ bytes: [UInt8], _ coding: ContentCoding) throws -> [UInt8] {
        let coder = try ZlibCoder()
        return try bytes.withUnsafeBytes { bytes throws(AerieError) in try coder.pack(bytes, coding) }
    }

    @Test("what was packed comes back, empty and large", arguments: ContentCoding.allCases)
    func roundTrip(_ coding: ContentCoding) throws {
        for count in [0, 1, 1000, 300_000] {
            let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* $0 >> 5) }
            let packed = try pack(bytes, coding)
            #expect(packed.prefix(2) == (coding == .gzip ? [0x1f, 0x8b] : [0x78, 0x01]))
            #expect(try unpack(packed, coding) == bytes)
        }
    }

    /// By Python's `zlib` and `gzip`: "hello hello hello".
    @Test("other writers' bytes are read: zlib, bare deflate, gzip of two members")
    func foreign() throws {
        let text = Array("hello hello hello".utf8)
        let bare: [UInt8] = [0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x57, 0xc8, 0x40, 0x90, 0x00]
        let zlib = [0x78, 0x9c] + bare + [0x3a, 0x2e, 0x06, 0x7d]
        #expect(try unpack(zlib, .deflate) == text)
        #expect(try unpack(bare, .deflate) == text)
        let member = try pack(text, .gzip)
        #expect(try unpack(member + member, .gzip) == text + text)
    }

    @Test("what is broken, cut short or too long is refused, whatever byte is missing")
    func hostile() throws {
        let packed = try pack(Array("some text, some more text".utf8), .gzip)
        for count in 0..<packed.count {
            #expect(throws: AerieError.self) { try unpack(Array(packed[..<count]), .gzip) }
        }
        #expect(throws: AerieError.self) { try unpack(packed + [0], .gzip) }
        #expect(throws: AerieError.self) { try unpack(Array("plain text".utf8), .deflate) }
        let bomb = try pack([UInt8](repeating: 0, count: 4 << 20), .gzip)
        #expect(bomb.count < 30_000)
        do {
            _ = try unpack(bomb, .gzip, limit: 1 << 20)
            Issue.record("a bomb was unpacked")
        } catch let error as AerieError {
            #expect(error.code == .resourceExhausted)
        }
        #expect(try unpack(bomb, .gzip, limit: 4 << 20).count == 4 << 20)
    }
}
