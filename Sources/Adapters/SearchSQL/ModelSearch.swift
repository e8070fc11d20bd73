public import Experiments

extension SearchStatement {
    /// Takes the conditions on metrics out of a search of models that names data sets and adds them: a value counts if
    /// it was measured on one of the data sets.
    public mutating func requireDatasets(of query: SearchQuery) -> SearchQuery {
        guard !query.datasets.isEmpty else { return query }
        let sets = query.datasets.map {
            $0.digest == nil ? "s.dataset_name = ?" : "s.dataset_name = ? AND s.dataset_digest = ?"
        }
        let names = query.datasets.flatMap { [$0.name, $0.digest].compactMap { $0 } }
        var query = query
        query.conditions.removeAll { condition in
            guard condition.field.kind == .metric, case .number(let number) = condition.value else { return false }
            let value = "s.value \(condition.comparison.rawValue) CAST(? AS DOUBLE PRECISION)"
            // NaN is kept as a mark beside a 0; it differs from every number and is neither above nor below one.
            let fits = condition.comparison == .notEqual ? "(s.is_nan = 1 OR \(value))" : "s.is_nan = 0 AND \(value)"
            require(
                """
                EXISTS (SELECT 1 FROM logged_model_metrics s WHERE s.owner = t.seq AND s.key = ? AND \(fits)
                    AND (\(sets.joined(separator: " OR "))))
                """, [.text(condition.field.key), .number(number)] + names.map { .text($0) })
            return true
        }
        return query
    }
}

extension SearchTables {
    /// One value a model and metric: the latest that any run measured, on a data set that meets the condition.
    @Sendable public static func latestModelMetrics(where condition: String = "1 = 1") -> String {
        """
        (SELECT owner, key, value, is_nan FROM (SELECT owner, key, value, is_nan, ROW_NUMBER() OVER (
            PARTITION BY owner, key ORDER BY timestamp DESC, step DESC, run_id) AS place
            FROM logged_model_metrics WHERE \(condition)) AS ranked WHERE place = 1)
        """
    }
}
