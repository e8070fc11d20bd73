import AerieCore
import Datasets
import Expressions
import StoreDuckDB
import Testing

/// The compiled expression and DuckDB's give the same answers, over generated expressions and rows that hold nulls,
/// NaN, infinities, the ends of the whole numbers and texts that Swift and SQL order differently.
@Suite struct ExpressionAgreementTests {
    private static let names: [(name: String, type: ExpressionType)] = [
        ("a", .integer), ("b", .integer), ("x", .double), ("y", .double), ("s", .text), ("t", .text), ("p", .flag),
        ("q", .flag),
    ]

    private struct Generator {
        var random: SeededGenerator

        mutating func pick(_ texts: [String]) -> String { texts[random.below(texts.count)] }

        mutating func text(_ type: ExpressionType, _ depth: Int) -> String {
            if depth == 0 || random.chance(0.15) { return leaf(type) }
            if random.chance(0.12) { return common(type, depth) }
            func inner(_ type: ExpressionType) -> String { self.text(type, depth - 1) }
            switch type {
            case .integer:
                switch random.below(6) {
                case 0: return "abs(\(inner(.integer)))"
                case 1: return "CAST(\(inner(.double)) AS BIGINT)"
                case 2: return "length(\(inner(.text)))"
                case 3: return "(-\(inner(.integer)))"
                case 4: return "CAST(\(inner(.flag)) AS BIGINT)"
                default: return "(\(inner(.integer)) \(pick(["+", "-", "*", "//", "%"])) \(inner(.integer)))"
                }
            case .double:
                switch random.below(6) {
                case 0:
                    return "\(pick(["abs", "floor", "ceil", "round", "sqrt", "exp", "ln", "log10"]))(\(inner(.double)))"
                case 1: return "(\(inner(.integer)) / \(inner(.integer)))"
                case 2: return "(-\(inner(.double)))"
                case 3: return "(\(inner(.integer)) \(pick(["+", "-", "*"])) \(inner(.double)))"
                default: return "(\(inner(.double)) \(pick(["+", "-", "*", "/", "%"])) \(inner(.double)))"
                }
            case .text:
                switch random.below(3) {
                case 0: return "CAST(\(inner(.integer)) AS VARCHAR)"
                default: return "(\(inner(.text)) || \(inner(.text)))"
                }
            case .flag: return flag(depth)
            }
        }

        private mutating func flag(_ depth: Int) -> String {
            let type = [ExpressionType.integer, .double, .text][random.below(3)]
            func inner(_ type: ExpressionType) -> String { text(type, depth - 1) }
            switch random.below(9) {
            case 0: return "(NOT \(inner(.flag)))"
            case 1: return "(\(inner(type)) IS \(pick(["NULL", "NOT NULL"])))"
            case 2: return "(\(inner(.flag)) \(pick(["AND", "OR"])) \(inner(.flag)))"
            case 3: return "(\(inner(type)) \(pick(["IN", "NOT IN"])) (\(inner(type)), \(leaf(type)), \(leaf(type))))"
            case 4: return "(\(inner(type)) \(pick(["", "NOT "]))BETWEEN \(inner(type)) AND \(inner(type)))"
            case 5: return "\(pick(["isnan", "isfinite"]))(\(inner(.double)))"
            case 6: return "\(pick(["contains", "starts_with", "ends_with"]))(\(inner(.text)), \(inner(.text)))"
            default: return "(\(inner(type)) \(pick(["=", "<>", "<", "<=", ">", ">="])) \(inner(type)))"
            }
        }

        private mutating func common(_ type: ExpressionType, _ depth: Int) -> String {
            func inner() -> String { text(type, depth - 1) }
            switch random.below(4) {
            case 0: return "coalesce(\(inner()), \(inner()))"
            case 1: return "nullif(\(inner()), \(inner()))"
            case 2:
                return
                    "CASE WHEN \(text(.flag, depth - 1)) THEN \(inner()) WHEN \(text(.flag, depth - 1)) THEN \(inner()) "
                    + "\(random.chance(0.5) ? "ELSE \(inner()) " : "")END"
            default: return "\(pick(["least", "greatest"]))(\(inner()), \(inner()), \(leaf(type)))"
            }
        }

        private mutating func leaf(_ type: ExpressionType) -> String {
            switch type {
            case .integer: pick(["a", "b", "0", "1", "3", "9223372036854775807", "NULL + 1"])
            case .double: pick(["x", "y", "0.0", "0.5", "1e300", "2.0", "CAST(a AS DOUBLE)"])
            case .text: pick(["s", "t", "''", "'a'", "'it''s'"])
            case .flag: pick(["p", "q", "TRUE", "FALSE"])
            }
        }

        mutating func row() -> [ExpressionValue] {
            func null(_ value: ExpressionValue) -> ExpressionValue { random.chance(0.2) ? .null : value }
            func integer() -> ExpressionValue {
                let ends: [Int64] = [.min, .max, 0, -1, 1, .min + 1, 1 << 53 + 1]
                return null(
                    .integer(random.chance(0.3) ? ends[random.below(ends.count)] : Int64(random.integer(-50, 50))))
            }
            func double() -> ExpressionValue {
                let ends: [Double] = [
                    .nan, .infinity, -.infinity, 0, -0.0, 1e308, -1e308, 5e-324, 0.5, 2.5, -2.5, 9.3e18,
                ]
                return null(.double(random.chance(0.4) ? ends[random.below(ends.count)] : random.uniform(-100, 100)))
            }
            func text() -> ExpressionValue {
                let texts = ["", "a", "B", "é", "e\u{301}", "città", "😀", "it's", "ab", "~"]
                return null(.text(texts[random.below(texts.count)]))
            }
            func flag() -> ExpressionValue { null(.flag(random.chance(0.5))) }
            return [integer(), integer(), double(), double(), text(), text(), flag(), flag()]
        }
    }

    private func literal(_ value: ExpressionValue, _ type: ExpressionType) -> String {
        switch value {
        case .null: "NULL"
        case .integer(let number): "'\(number)'::BIGINT"
        case .double(let number): "'\(number)'::DOUBLE"
        case .text(let text): sqlString(text)
        case .flag(let flag): "\(flag)"
        }
    }

    private func agree(_ value: ExpressionValue, _ sql: SQLValue) -> Bool {
        switch (value, sql) {
        case (.null, .null): true
        case (.integer(let a), .int(let b)): a == b
        case (.double(let a), .double(let b)): a == b || a.isNaN && b.isNaN || abs(a - b) <= 1e-12 * abs(b)
        case (.text(let a), .text(let b)): a.utf8.elementsEqual(b.utf8)
        case (.flag(let a), .bool(let b)): a == b
        default: false
        }
    }

    @Test("2400 generated expressions over 40 rows each", arguments: 0..<6) func agreement(part: Int) async throws {
        let engine = DuckDBEngine(options: .init(threads: 1))
        let names = Self.names
        var (cells, nulls) = (0, 0)
        for seed in UInt64(part * 10 + 1)...UInt64(part * 10 + 10) {
            var generator = Generator(random: SeededGenerator(seed: seed))
            let rows = (0..<40).map { _ in generator.row() }
            let columns = names.map { "\($0.name) \($0.type.rawValue)" }.joined(separator: ", ")
            try await engine.execute("CREATE OR REPLACE TABLE rows (n BIGINT, \(columns))")
            let values = rows.enumerated().map { number, row in
                "(\(number), " + zip(row, names).map { literal($0, $1.type) }.joined(separator: ", ") + ")"
            }
            try await engine.execute("INSERT INTO rows VALUES \(values.joined(separator: ", "))")
            var expressions: [Expression] = []
            while expressions.count < 40 {
                let type = ExpressionType.allCases[generator.random.below(4)]
                let text = generator.text(type, generator.random.integer(1, 4))
                expressions.append(try Expression(text, names))
            }
            let selected = expressions.map { $0.sql { names[$0].name } }.joined(separator: ", ")
            let table = try await engine.query("SELECT \(selected) FROM rows ORDER BY n")
            for (place, expression) in expressions.enumerated() {
                for (number, row) in rows.enumerated() {
                    let (got, want) = (expression.evaluate(row), table.columns[place][number])
                    #expect(agree(got, want), "seed \(seed): \(expression.text) over \(row): \(got), in SQL \(want)")
                    cells += 1
                    if got.isNull { nulls += 1 }
                }
            }
        }
        #expect(cells == 16_000 && nulls > cells / 20 && nulls < cells * 3 / 4)
    }
}
