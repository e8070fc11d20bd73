import AerieJSON
public import Experiments

/// What a trace is found by beside its own row: runs and prompts that it is linked to, its spans, and what is thought
/// of it. Both databases have the tables `trace_metadata`, `trace_links`, `trace_spans` and `trace_assessments`, and
/// the function `span_attribute(content, name)`.
extension SearchStatement {
    /// Takes those conditions out of a query and adds them.
    public mutating func requireTraceParts(of query: SearchQuery) -> SearchQuery {
        var query = query
        query.conditions = requireTraceParts(query.conditions)
        return query
    }

    /// - Returns: the conditions that are none of these. Those on spans are met by one span, all of them.
    mutating func requireTraceParts(_ conditions: [SearchCondition]) -> [SearchCondition] {
        var spans = SearchStatement(tables, dialect)
        var rest: [SearchCondition] = []
        for condition in conditions {
            switch (condition.field.kind, condition.field.key) {
            case (.span, _): spans.addSpan(condition)
            case (.feedback, _), (.expectation, _): addAssessment(condition)
            case (.issue, _): addIssue(condition)
            case (.attribute, "prompt"): addPrompt(condition)
            case (.attribute, "run_id"): if !addRun(condition) { rest.append(condition) }
            default: rest.append(condition)
            }
        }
        if !spans.conditions.isEmpty {
            let all = spans.conditions.joined(separator: " AND ")
            require("EXISTS (SELECT 1 FROM trace_spans p WHERE p.owner = t.seq AND \(all))", spans.arguments)
        }
        return rest
    }

    private mutating func addSpan(_ condition: SearchCondition) {
        switch condition.field.key {
        case "name": compare("p.name", condition)
        case "type": compare("p.kind", condition)
        case "status": compare(Self.spanStatus, condition)
        case "content": compare("p.content", condition)
        default:
            var inner = SearchStatement(tables, dialect)
            inner.compare("span_attribute(p.content, ?)", condition)
            let name = String(condition.field.key.dropFirst("attributes.".count))
            require(inner.conditions.joined(), [.text(name)] + inner.arguments)
        }
    }

    /// As clients call it.
    static let spanStatus = "(CASE p.state WHEN 'STATE_UNSPECIFIED' THEN 'UNSET' ELSE p.state END)"

    /// An assessment of a session counts for every trace of it.
    private mutating func addAssessment(_ condition: SearchCondition) {
        var said = SearchStatement(tables, dialect)
        said.require(
            "a.kind = ? AND a.name = ? AND a.is_valid = 1",
            [.text(condition.field.kind.rawValue), .text(condition.field.key)])
        switch (condition.comparison, condition.value) {
        case (.isNull, _), (.isNotNull, _): break
        case (.equal, .text(let text)), (.notEqual, .text(let text)):
            let isNot = condition.comparison == .notEqual
            said.require(
                "\(isNot ? "NOT " : "")(a.value = ? OR a.value = ?)", [.text(text), .text(JSONValue.string(text).text())])
        case (_, .number):
            said.require("a.is_numeric = 1")
            said.compare("a.number", condition)
        default: said.compare("a.value", condition)
        }
        let all = said.conditions.joined(separator: " AND ")
        require(
            """
            \(condition.comparison == .isNull ? "NOT " : "")(
                EXISTS (SELECT 1 FROM trace_assessments a WHERE a.owner = t.seq AND \(all))
                OR EXISTS (SELECT 1 FROM trace_metadata m JOIN trace_metadata o ON o.key = m.key AND o.value = m.value
                    JOIN traces x ON x.seq = o.owner AND x.experiment = t.experiment
                    JOIN trace_assessments a ON a.owner = x.seq
                    WHERE m.owner = t.seq AND m.key = 'mlflow.trace.session' AND a.of_session = 1 AND \(all)))
            """, said.arguments + said.arguments)
    }

    private mutating func addIssue(_ condition: SearchCondition) {
        var said = SearchStatement(tables, dialect)
        said.compare("a.name", condition)
        let all = said.conditions.joined()
        require(
            "EXISTS (SELECT 1 FROM trace_assessments a WHERE a.owner = t.seq AND a.kind = 'issue' AND \(all))",
            said.arguments)
    }

    private mutating func addPrompt(_ condition: SearchCondition) {
        var linked = SearchStatement(tables, dialect)
        linked.compare("r.target", condition)
        let all = linked.conditions.joined()
        require(
            "EXISTS (SELECT 1 FROM trace_links r WHERE r.owner = t.seq AND r.kind = 'prompt' AND \(all))",
            linked.arguments)
    }

    /// A trace belongs to the run that made it, which its metadata names, and to those it is linked to.
    private mutating func addRun(_ condition: SearchCondition) -> Bool {
        let runs: [String]
        switch (condition.comparison, condition.value) {
        case (.equal, .text(let run)), (.notEqual, .text(let run)): runs = [run]
        case (.in, .list(let list)), (.notIn, .list(let list)): runs = list
        default: return false
        }
        let marks = Array(repeating: "?", count: runs.count).joined(separator: ",")
        let isNot = condition.comparison == .notEqual || condition.comparison == .notIn
        require(
            """
            \(isNot ? "NOT " : "")(EXISTS (SELECT 1 FROM trace_metadata r WHERE r.owner = t.seq
                AND r.key = 'mlflow.sourceRun' AND r.value IN (\(marks)))
            OR EXISTS (SELECT 1 FROM trace_links r WHERE r.owner = t.seq AND r.kind = 'run'
                AND r.target IN (\(marks))))
            """, (runs + runs).map { .text($0) })
        return true
    }
}

extension SearchStatement {
    /// How many traces of the experiments meet every part of a filter.
    public static func count(
        _ connection: some SearchConnection, _ parts: [[SearchCondition]], in experimentIDs: [ExperimentID],
        _ tables: SearchTables
    ) throws -> Int {
        var statement = SearchStatement(tables, connection.dialect)
        statement.require(in: "t.experiment", numbers: experimentIDs.compactMap { Int64($0.text) })
        for part in parts {
            for condition in statement.requireTraceParts(part) { try statement.add(condition) }
        }
        let all = statement.conditions.joined(separator: " AND ")
        return Int(try connection.number("SELECT COUNT(*) FROM traces t WHERE \(all)", statement.arguments) ?? 0)
    }
}
