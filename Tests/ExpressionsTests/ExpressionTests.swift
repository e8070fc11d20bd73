import Expressions
import Testing

private let names: [(name: String, type: ExpressionType)] = [
    ("a", .integer), ("b", .integer), ("x", .double), ("y", .double), ("s", .text), ("p", .flag),
]

private func run(
    _ text: String,
    _ values: [ExpressionValue] = [.integer(7), .integer(0), .double(2.5), .null, .text("città"), .flag(true)]
)
    throws -> ExpressionValue
{
    try Expression(text, names).evaluate(values)
}

@Suite struct ExpressionTests {
    @Test(
        "answers",
        arguments: [
            ("1 + 2 * 3", ExpressionValue.integer(7)), ("(1 + 2) * 3", .integer(9)), ("-2 - -3", .integer(1)),
            ("a / 2", .double(3.5)), ("a // 2", .integer(3)), ("-a // 2", .integer(-3)), ("a % 4", .integer(3)),
            ("a // b", .null), ("a % b", .null), ("a / b", .double(.infinity)), ("x * a", .double(17.5)),
            ("9223372036854775807 + 1", .null), ("abs(-9223372036854775807 - 1)", .null), ("x + y", .null),
            ("y IS NULL", .flag(true)), ("x IS NOT NULL", .flag(true)), ("y > 1", .null),
            ("y > 1 AND FALSE", .flag(false)),
            ("y > 1 OR p", .flag(true)), ("NOT (y > 1)", .null), ("NOT p", .flag(false)),
            ("coalesce(y, x, 1)", .double(2.5)),
            ("nullif(a, 7)", .null), ("least(a, 3, NULL)", .integer(3)), ("greatest(a, x)", .double(7)),
            ("CASE WHEN a > 5 THEN 'big' WHEN a > 1 THEN 'small' ELSE 'none' END", .text("big")),
            ("CASE a WHEN 1 THEN 10 WHEN 7 THEN 70 END", .integer(70)), ("CASE WHEN y > 1 THEN 1 END", .null),
            ("a IN (1, 7)", .flag(true)), ("a IN (1, NULL)", .null), ("a NOT IN (1, 2)", .flag(true)),
            ("a BETWEEN 7 AND 9", .flag(true)), ("a NOT BETWEEN 7 AND 9", .flag(false)),
            ("s || '!'", .text("città!")), ("length(s)", .integer(5)), ("contains(s, 'itt')", .flag(true)),
            ("starts_with(s, 'cit')", .flag(true)), ("ends_with(s, 'x')", .flag(false)), ("s < 'd'", .flag(true)),
            ("CAST(2.5 AS BIGINT)", .integer(2)), ("CAST(3.5 AS BIGINT)", .integer(4)), ("CAST(1e30 AS BIGINT)", .null),
            ("CAST(a AS VARCHAR) || 'x'", .text("7x")), ("CAST(p AS DOUBLE)", .double(1)), ("round(-2.5)", .double(-3)),
            ("floor(-0.5)", .double(-1)), ("sqrt(a + 2)", .double(3)), ("ln(0)", .double(-.infinity)),
            ("'it''s'", .text("it's")),
            ("isnan(sqrt(0 - x))", .flag(true)), ("a = 7.0", .flag(true)), ("\"a\" + 1", .integer(8)),
            ("pow(2, 10)", .double(1024)),
        ]) func answers(_ text: String, _ expected: ExpressionValue) throws
    { #expect(try run(text) == expected) }

    @Test(
        "what is wrong is said with its place",
        arguments: [
            ("a +", 4, "a value was expected, not the end"), ("a b", 3, "not 'b'"),
            ("nope + 1", 1, "'nope' is not known"),
            ("1 + upper(s)", 5, "the function 'upper'"), ("a + s", 5, "VARCHAR does not go with BIGINT"),
            ("s + s", 1, "a number"),
            ("a AND p", 1, "a BOOLEAN"), ("'open", 1, "no end"), ("a $ b", 3, "'$'"),
            ("CAST(s AS DOUBLE)", 1, "cannot be cast"),
            ("CAST(a AS DATE)", 1, "'DATE' is no type"), ("sqrt(a, b)", 1, "takes one argument"),
            ("NULL", 1, "always null"),
            ("(a", 3, "')' was expected"), ("x // 2", 1, "a BIGINT"),
            ("99999999999999999999", 1, "no number that fits"),
            ("a IN ()", 7, "a value"), ("CASE ELSE 1 END", 6, "not 'ELSE'"), ("a NOT 3", 7, "IN or BETWEEN"),
            ("", 1, "the end"),
        ]) func problems(_ text: String, _ position: Int, _ words: String) throws
    {
        let problem = #expect(throws: ExpressionProblem.self) { try Expression(text, names) }
        #expect(problem?.position == position)
        #expect(problem?.message.contains(words) == true, "\(problem?.message ?? "")")
    }

    @Test("what is too deep or too long is refused, and does not end the process") func depth() throws {
        for text in [
            String(repeating: "(", count: 4000) + "1" + String(repeating: ")", count: 4000),
            "1" + String(repeating: "+1", count: 4000), String(repeating: "-", count: 9000) + "1",
            String(repeating: "NOT ", count: 2000) + "TRUE", "'" + String(repeating: "x", count: 20_000) + "'",
        ] {
            #expect(throws: ExpressionProblem.self) { try Expression(text, names) }
        }
    }

    @Test("the inputs are those that are read") func inputs() throws {
        #expect(try Expression("y + a", names).inputs == [0, 3])
        #expect(try Expression("1 + 1", names).inputs == [])
    }
}
