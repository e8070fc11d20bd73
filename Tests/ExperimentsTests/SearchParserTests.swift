import AerieCore
import Experiments
import Testing

@Suite struct SearchParserTests {
    @Test("a filter becomes conditions", arguments: [
        ("metrics.auc > 0.9", [SearchCondition(SearchField(.metric, "auc"), .greater, .number(0.9))]),
        ("metric.\"a b\" <= -1e-3", [SearchCondition(SearchField(.metric, "a b"), .lessOrEqual, .number(-1e-3))]),
        ("metrics.auc > .5", [SearchCondition(SearchField(.metric, "auc"), .greater, .number(0.5))]),
        ("params.depth = '10' and tags.`my tag` != \"x\"", [
            SearchCondition(SearchField(.param, "depth"), .equal, .text("10")),
            SearchCondition(SearchField(.tag, "my tag"), .notEqual, .text("x")),
        ]),
        ("tags.mlflow.runName LIKE 'a%'", [SearchCondition(SearchField(.tag, "mlflow.runName"), .like, .text("a%"))]),
        ("attributes.run_id IN ('a', 'b')", [SearchCondition(SearchField(.attribute, "run_id"), .in, .list(["a",
            "b"]))]),
        ("run_id NOT IN ('a')", [SearchCondition(SearchField(.attribute, "run_id"), .notIn, .list(["a"]))]),
        ("params.x IS NULL AND tags.y is not null", [
            SearchCondition(SearchField(.param, "x"), .isNull, .none), SearchCondition(SearchField(.tag, "y"),
                .isNotNull, .none),
        ]),
        ("created >= 5", [SearchCondition(SearchField(.attribute, "start_time"), .greaterOrEqual, .number(5))]),
        ("dataset.name ILIKE 'T%'", [SearchCondition(SearchField(.dataset, "name"), .ilike, .text("T%"))]),
        ("params.q = 'it''s'", [SearchCondition(SearchField(.param, "q"), .equal, .text("it's"))]),
        ("  ", []),
    ] as [(String, [SearchCondition])])
    func reads(_ filter: String, _ expected: [SearchCondition]) throws {
        #expect(try SearchParser.conditions(filter, subject: .runs) == expected)
    }

    @Test("a wrong filter is refused with the character where it goes wrong", arguments: [
        ("metrics.auc >", 14), ("metrics.auc > 'x'", 15), ("params.depth = 10", 16), ("metrics.a > 1 OR metrics.b > 1",
            15),
        ("nonsense = 'x'", 1), ("things.a = 'x'", 1), ("params.a > 'x'", 10), ("tags.a = 'x", 10), ("run_id IN 'a'",
            11),
        ("run_id IN ('a' 'b')", 16), ("status IN ('a')", 8), ("metrics.a ! 1", 11), ("metrics.a = 1 metrics.b = 1", 15),
        ("tags. = 'x'", 1), ("start_time LIKE 'a'", 12), ("start_time IS NULL", 12), ("dataset.source = 'x'", 1), (";",
            1),
    ])
    func refuses(_ filter: String, _ column: Int) {
        let error = #expect(throws: AerieError.self) { try SearchParser.conditions(filter, subject: .runs) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.details.first?.column == column, "\(error?.message ?? "")")
    }

    @Test("traces are searched by their spans and by what is thought of them", arguments: [
        ("span.attributes.`a b` LIKE 'x%'", SearchField(.span, "attributes.a b"), .like, .text("x%")),
        ("span.type IN ('LLM')", SearchField(.span, "type"), .in, .list(["LLM"])),
        ("trace.text ILIKE '%a%'", SearchField(.span, "content"), .ilike, .text("%a%")),
        ("feedback.score >= 0.5", SearchField(.feedback, "score"), .greaterOrEqual, .number(0.5)),
        ("expectation.answer = 'yes'", SearchField(.expectation, "answer"), .equal, .text("yes")),
        ("feedback.score IS NULL", SearchField(.feedback, "score"), .isNull, .none),
        ("issue.id = 'i-1'", SearchField(.issue, "id"), .equal, .text("i-1")),
        ("prompt = 'p/1'", SearchField(.attribute, "prompt"), .equal, .text("p/1")),
    ] as [(String, SearchField, SearchCondition.Operator, SearchCondition.Value)])
    func readsTraces(
        _ filter: String, _ field: SearchField, _ comparison: SearchCondition.Operator, _ value: SearchCondition.Value
    ) throws {
        #expect(
            try SearchParser.conditions(filter, subject: .traces) == [SearchCondition(field, comparison, value)])
    }

    @Test("a wrong filter of traces is refused with the character where it goes wrong", arguments: [
        ("span.nothing = 'a'", 1), ("span.attributes. = 'a'", 1), ("span.name > 'a'", 11), ("span.content = 'a'", 14),
        ("feedback.score > 'a'", 18), ("feedback.score = 0.5", 18), ("feedback.score IN ('a')", 16),
        ("issue.name = 'a'", 1), ("issue.id != 'a'", 10), ("prompt LIKE 'a'", 8), ("metrics.a > 1", 1),
    ])
    func refusesTraces(_ filter: String, _ column: Int) {
        let error = #expect(throws: AerieError.self) { try SearchParser.conditions(filter, subject: .traces) }
        #expect(error?.code == .invalidArgument)
        #expect(error?.details.first?.column == column, "\(error?.message ?? "")")
        #expect(throws: AerieError.self) { try SearchParser.conditions("feedback.a = 'x'", subject: .runs) }
    }

    @Test("no text makes the parser fail in another way than by an error")
    func survivesNoise() {
        var state: UInt64 = 7
        let pieces = ["metrics.", "a", "'", "\"", "`", "=", "<", "!", "(", ")", ",", " AND ", "IN", "NOT", "1e", "-",
            "é", "\0", "."]
        for _ in 0..<5000 {
            var text = ""
            for _ in 0..<8 {
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text += pieces[Int(state >> 33) % pieces.count]
            }
            do { _ = try SearchParser.conditions(text,
                subject: .runs) } catch { #expect(error.code == .invalidArgument) }
        }
    }

    @Test("clients quote the number of a version")
    func versions() throws {
        let field = SearchField(.attribute, "version_number")
        for text in ["version_number = '3'", "version_number = 3"] {
            let found = try SearchParser.conditions(text, subject: .modelVersions)
            #expect(found == [SearchCondition(field, .equal, .number(3))])
        }
        #expect(throws: AerieError.self) {
            try SearchParser.conditions("version_number = 'x'", subject: .modelVersions)
        }
    }

    @Test("orders name a key and a direction")
    func orders() throws {
        let orders = try SearchParser.orders(["metrics.`a b` DESC", "start_time"], subject: .runs)
        #expect(orders == [SearchOrder(SearchField(.metric, "a b"), ascending: false),
            SearchOrder(SearchField(.attribute, "start_time"))])
        #expect(throws: AerieError.self) { try SearchParser.orders(["metrics.a SIDEWAYS"], subject: .runs) }
        #expect(throws: AerieError.self) { try SearchParser.orders(["version_number"], subject: .registeredModels) }
    }

    @Test("page tokens survive the round trip and nothing else is one")
    func tokens() throws {
        let values: [PageValue] = [.none, .integer(.min), .number(0.1), .number(-1e308), .text("a\"ä"), .text("")]
        for position in [PagePosition(newest: 0, after: []), PagePosition(newest: .max, after: values)] {
            #expect(try PagePosition(token: position.token) == position)
        }
        for wrong in ["", "!", "AAAA", String(repeating: "A", count: 5000)] {
            #expect(throws: AerieError.self) { try PagePosition(token: wrong) }
        }
    }
}

@Suite struct ArtifactPathTests {
    @Test("paths that lead out do not construct", arguments: ["..", "a/../b", "/etc", "a\\b", "a\0b", "~/x", "a/\n"])
    func refuses(_ text: String) {
        #expect(throws: AerieError.self) { try ArtifactPath(text) }
    }

    @Test("locations lose their scheme and authority", arguments: [
        ("mlflow-artifacts:/1/a", "1/a"), ("mlflow-artifacts://host:5000/1/a", "1/a"), ("mlflow-artifacts:1/a", "1/a"),
    ])
    func locations(_ location: String, _ path: String) throws {
        #expect(try ArtifactPath(location: location).description == path)
        #expect(throws: AerieError.self) { try ArtifactPath(location: "s3://bucket/a") }
    }
}
