import AerieCore
import GRDB
import Testing

@testable import StoreSQLite

@Suite struct SearchPatternTests {
    private func matches(_ text: String?, _ pattern: String) throws -> Bool? {
        let database = try DatabaseQueue()
        return try database.read { db in
            db.addPatterns()
            return try SearchPattern.telling {
                try Bool.fetchOne(db, sql: "SELECT ? REGEXP ?", arguments: [text, pattern])
            }
        }
    }

    @Test("text that holds a match is found, and what is not there is neither")
    func found() throws {
        #expect(try matches("gpt-4", "^gpt-\\d$") == true)
        #expect(try matches("größer", "ö.er") == true)
        #expect(try matches("", "^$") == true)
        #expect(try matches("GPT", "gpt") == false)
        #expect(try matches(nil, "a") == nil)
    }

    @Test("a pattern that is none, and one that would never end, are told", arguments: ["(", "(a+)+$"])
    func wrong(_ pattern: String) {
        let text = String(repeating: "a", count: 60) + "b"
        let error = #expect(throws: AerieError.self) { try matches(text, pattern) }
        #expect(error?.code == .invalidArgument && error?.message.contains(pattern) == true)
    }
}
