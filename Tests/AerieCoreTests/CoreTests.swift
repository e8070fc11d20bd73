import AerieCore
import Testing

@Suite struct CoreTests {
    @Test("several problems are one error that names the first with its line and counts the rest")
    func problems() {
        let error = AerieError.invalid("the file is wrong", problems: [
            .init(field: "a", problem: "is odd", line: 3), .init(field: "b", problem: "is even"),
        ])
        #expect(error?.message == "the file is wrong: line 3: a: is odd (and 1 more)")
        #expect(AerieError.invalid("nothing", problems: []) == nil)
    }

    @Test("a moment is written in UTC, also before 1970 and past 2038", arguments: [
        (0, "1970-01-01T00:00:00Z"), (-1, "1969-12-31T23:59:59Z"), (951_782_400_000, "2000-02-29T00:00:00Z"),
        (4_102_444_799_999, "2099-12-31T23:59:59Z"),
    ] as [(Int64, String)])
    func moments(_ milliseconds: Int64, _ text: String) {
        #expect(Timestamp(milliseconds: milliseconds).iso8601 == text)
    }

    @Test("identifiers have their documented form, and a seeded source gives the same ones")
    func identifiers() {
        let source = IdentifierSource { 0x0123_4567_89ab_cdef }
        #expect(source.hex32() == "0123456789abcdef0123456789abcdef")
        #expect(source.uuid() == "01234567-89ab-4def-8123-456789abcdef")
        #expect(source.short(99).count == 12)
        #expect(IdentifierSource { 0 }.hex32() == String(repeating: "0", count: 32))
        #expect(IdentifierSource.system.uuid() != IdentifierSource.system.uuid())
    }

    @Test("a manual clock stands still until it is moved")
    func clock() {
        let clock = ManualClock(Timestamp(milliseconds: 5))
        #expect(clock.now() == clock.now())
        clock.advance(milliseconds: 7)
        #expect(clock.now().milliseconds == 12)
    }
}
