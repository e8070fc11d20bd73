import Datasets
import Streaming

/// The rows of a batch source as events of a view's windows, in SQL.
///
/// An event counts if its time is not null and not before 1970; with a column of arrivals (`createdTimestampColumn`),
/// if it did not arrive too late or too early; and of several with one identity, the one that arrived first.
struct WindowEvents {
    /// Of the source: the arrival as `a` (0 where there is no such column), the place as `n`, the plan's columns as
    /// `c0` and so on, and the identity, if there is one, as `e`.
    let columns: [String]
    private let conditions: [String]
    private let hasIdentity: Bool
    /// When an event arrived, as far as the source says; else it came at its time.
    let arrival: String

    init(_ definition: FeatureViewDefinition, _ windows: WindowDefinition, _ source: FeatureSource) {
        func column(_ name: String) -> String { sqlIdentifier(definition.column(of: name)) }
        let created = definition.createdTimestampColumn.map {
            sqlMicroseconds(sqlIdentifier($0), type: source.types[$0])
        }
        arrival = created == nil ? "t" : "coalesce(a, t)"
        var columns = ["\(created ?? "0::BIGINT") AS a", "\(source.position ?? "\"__aerie_at\"") AS n"]
        for (index, name) in windows.plan.columns.enumerated() {
            columns.append("\(Self.value(column(name), windows.kinds[index])) AS c\(index)")
        }
        var conditions = ["t >= 0"]
        if created != nil {
            let allowed = "\(-WindowPlan.futureLimit) AND \(windows.stream.allowedLateness)"
            conditions.append("coalesce(a - t BETWEEN \(allowed), true)")
        }
        if let id = windows.stream.eventID {
            columns.append("\(column(id)) AS e")
            conditions.append("e IS NOT NULL")
        }
        hasIdentity = windows.stream.eventID != nil
        self.columns = columns
        self.conditions = conditions
    }

    /// - Parameters:
    ///   - rows: a statement with `columns`, the time as `t` in microseconds, and what tells entities apart.
    ///   - entity: the columns that do.
    func counted(of rows: String, entity: [String], where more: [String] = []) -> String {
        let partition = (entity + ["e"]).joined(separator: ", ")
        let first =
            hasIdentity ? " QUALIFY row_number() OVER (PARTITION BY \(partition) ORDER BY a NULLS FIRST, n) = 1" : ""
        return "SELECT * FROM (\(rows)) WHERE \((conditions + more).joined(separator: " AND "))\(first)"
    }

    private static func value(_ column: String, _ kind: WindowDefinition.ColumnKind) -> String {
        switch kind {
        case .number: "CASE WHEN isfinite(\(column)::DOUBLE) THEN \(column)::DOUBLE END"
        case .text: "\(column)::VARCHAR"
        case .flag: "\(column)::BOOLEAN"
        case .any: column
        }
    }
}
