public import Experiments

extension SearchStatement {
    /// Takes the conditions on a trace's run out of a query and adds them: a trace belongs to the run that made it,
    /// which its metadata names, and to those it is linked to.
    public mutating func requireRuns(of query: SearchQuery) -> SearchQuery {
        var query = query
        query.conditions.removeAll { condition in
            guard condition.field == SearchField(.attribute, "run_id") else { return false }
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
        return query
    }
}
