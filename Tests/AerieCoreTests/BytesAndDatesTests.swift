import AerieCore
import Testing

@Suite struct BytesAndDatesTests {
    @Test("the vectors of RFC 4648", arguments: [
        ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ])
    func base64(_ plain: String, _ text: String) {
        #expect(Base64.standard.encode(plain.utf8) == text)
        #expect(Base64.standard.decode(text) == Array(plain.utf8))
        #expect(Base64.url.encode(plain.utf8) == text.filter { $0 != "=" })
        #expect(Base64.url.decode(text.filter { $0 != "=" }) == Array(plain.utf8))
    }

    @Test("the two alphabets differ in two characters, and a character of neither is refused") func alphabets() {
        #expect(Base64.standard.encode([0xfb, 0xff]) == "+/8=")
        #expect(Base64.url.encode([0xfb, 0xff]) == "-_8")
        #expect(Base64.url.decode("+/8") == nil && Base64.standard.decode("Zm 9v") == nil)
    }

    @Test func hexadecimal() {
        let all = (0...255).map { UInt8($0) }
        #expect(Hexadecimal.decode(Hexadecimal.encode(all)) == all)
        #expect(Hexadecimal.encode([0, 0xab]) == "00ab" && Hexadecimal.decode("00AB") == [0, 0xab])
        #expect(Hexadecimal.decode("0") == nil && Hexadecimal.decode("0g") == nil)
    }

    @Test("days and dates are each other's inverse over 2,000 years, and known days are right") func dates() {
        for day in stride(from: Int64(-500_000), through: 250_000, by: 37) {
            #expect(CivilDate(daysSince1970: day).daysSince1970 == day)
        }
        for (day, date) in [
            (Int64(0), CivilDate(year: 1970, month: 1, day: 1)), (-1, CivilDate(year: 1969, month: 12, day: 31)),
            (11_016, CivilDate(year: 2000, month: 2, day: 29)), (-719_468, CivilDate(year: 0, month: 3, day: 1)),
            (20_781, CivilDate(year: 2026, month: 11, day: 24)),
        ] {
            #expect(CivilDate(daysSince1970: day) == date && date.daysSince1970 == day)
        }
        #expect(Timestamp(milliseconds: -1).iso8601Milliseconds == "1969-12-31T23:59:59.999Z")
        #expect(Timestamp(milliseconds: 1_000_007).iso8601Milliseconds == "1970-01-01T00:16:40.007Z")
    }
}
