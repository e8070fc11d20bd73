import AerieCore
import Foundation
import GRDB
import Synchronization

/// Regular expressions in searches (`RLIKE`), which SQLite has a word for and no engine.
///
/// They are ICU's. A pattern that runs back and forth without end is given up after so many steps on one text, which
/// takes about 30 ms.
enum SearchPattern {
    /// ICU tells of its progress about every 10,000 steps.
    private static let reportsPerText = 200
    /// The code that a pattern's own mistakes carry through SQLite, which has no use for it in a search.
    private static let code = ResultCode.SQLITE_MISMATCH

    fileprivate static func compiled(_ pattern: String) throws -> NSRegularExpression {
        do { return try NSRegularExpression(pattern: pattern) } catch {
            throw DatabaseError(
                resultCode: code, message: "\"\(pattern.prefix(200))\" is no regular expression")
        }
    }

    fileprivate static func matches(_ expression: NSRegularExpression, _ text: String) throws -> Bool {
        var (isFound, reports) = (false, 0)
        expression.enumerateMatches(
            in: text, options: .reportProgress, range: NSRange(text.startIndex..., in: text)
        ) { match, _, stop in
            isFound = match != nil
            reports += 1
            if isFound || reports > reportsPerText { stop.pointee = true }
        }
        guard isFound || reports <= reportsPerText else {
            throw DatabaseError(
                resultCode: code,
                message: "\"\(expression.pattern.prefix(200))\" takes too long; say it without repetitions of repetitions")
        }
        return isFound
    }

    /// Runs a search, whose pattern's mistakes are the caller's.
    static func telling<Value>(_ search: () throws -> Value) throws -> Value {
        do { return try search() } catch let error as DatabaseError where error.resultCode == code {
            throw AerieError.invalid("filter", error.message ?? "the regular expression cannot be used")
        }
    }
}

extension Database {
    /// Gives statements `text REGEXP pattern`. The last pattern is kept, as a search has the same one for every row.
    func addPatterns() {
        let last = Mutex<NSRegularExpression?>(nil)
        add(
            function: DatabaseFunction("regexp", argumentCount: 2, pure: true) { values in
                guard let pattern = String.fromDatabaseValue(values[0]), let text = String.fromDatabaseValue(values[1])
                else { return nil }
                let expression = try last.withLock { last in
                    if let last, last.pattern == pattern { return last }
                    let new = try SearchPattern.compiled(pattern)
                    last = new
                    return new
                }
                return try SearchPattern.matches(expression, text)
            })
    }
}
