public import AerieCore
import AerieJSON
public import AerieResources
public import Datasets
import Features
public import Pipelines

/// `uses: features`: makes the table that a model learns from.
///
/// `table` and `label` are required. Features are the `columns` (by default every number, truth value and text but the
/// label, the event time and `exclude`), the features of `views`, joined as they were known at `eventTime`
/// (`event_time` if there is such a column), and `expressions: [{name, sql, requires?}]` over all of these, window
/// functions included; one whose `requires` names a missing column is left out. `split: {by, train, validation, seed}`
/// divides the rows by `time` (the default if there is an event time), `row` or `stratified` (by label, seeded), 60 /
/// 15 / 25 % if not said otherwise. Outputs: `table` (Parquet, with `split` and `row_index`; the label as a number),
/// `features` (names), `label`, `rows`, `split` (rows and positives of each part).
public struct FeaturesStep: Step {
    private let engine: @Sendable () throws(AerieError) -> any SQLEngine

    public init(engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine) { self.engine = engine }

    public var name: String { "features" }
    public var outputs: [String] { ["table", "features", "label", "rows", "split"] }
    public var placement: StepPlacement { .process }
    public var isCacheable: Bool { true }
    public var parameters: FieldSchema {
        .object([
            Field("table", .string, required: true), Field("label", .string, required: true),
            Field("eventTime", .string), Field("columns", .array(.string)), Field("exclude", .array(.string)),
            Field(
                "expressions",
                .array(
                    .object([
                        Field("name", .string, required: true), Field("sql", .string, required: true),
                        Field("requires", .array(.string)),
                    ]))),
            Field("views", .array(.any)), Field("joinKeys", .map(.string)), Field("fullFeatureNames", .bool),
            Field(
                "split",
                .object([
                    Field("by", .choice(["time", "row", "stratified"])), Field("train", .number(0.01...0.98)),
                    Field("validation", .number(0.01...0.98)), Field("seed", .integer(0 ... .max)),
                ])),
        ])
    }

    public func run(_ context: StepContext) async throws(AerieError) -> StepResult {
        let input = StepInput(context.parameters)
        let source = try TableSource(path: try input.requiredText("table"), field: "with.table")
        let label = try input.requiredText("label")
        let engine = try engine()
        var plan = FeaturePlan(
            relation: "(SELECT *, row_number() OVER () - 1 AS row_index FROM \(source.relation))",
            columns: try await source.columns(engine))
        guard let labelType = plan.type(of: label) else {
            throw input.wrong(
                "label", "the table has no column '\(label)'; there are \(plan.names.joined(separator: ", "))")
        }
        let wantedTime = try input.text("eventTime")
        let eventTime = wantedTime ?? "event_time"
        let hasTime = plan.type(of: eventTime) != nil
        if wantedTime != nil, !hasTime {
            context.log("no column '\(eventTime)': rows are taken in the order of the file")
        }
        var features = try plan.baseColumns(input, label: label, eventTime: eventTime, log: context.log)
        context.progress(0.2, "joining views")
        features += try await plan.joinViews(input, eventTime: hasTime ? eventTime : nil, engine)
        features += try plan.addExpressions(input, log: context.log)
        guard !features.isEmpty else { throw .invalid("with", "leaves no feature to learn from") }
        let split = try SplitRule(
            StepInput(try input.object("split") ?? [:], path: "with.split"), hasEventTime: hasTime)
        try checkCancelled()
        context.progress(0.5, "writing features")
        let path = context.workDirectory + "/features.parquet"
        let number =
            FeaturePlan.isNumber(labelType) ? sqlIdentifier(label) : "\(sqlIdentifier(label))::BOOLEAN::INTEGER"
        try await engine.execute(
            "COPY (SELECT * REPLACE (\(number) AS \(sqlIdentifier(label))), "
                + "\(split.sql(eventTime: eventTime, label: label)) "
                + "AS \"split\" FROM \(plan.relation) ORDER BY row_index) TO \(sqlString(path)) (FORMAT parquet)")
        let counts = try await Self.counts(path, label, engine)
        context.log("\(features.count) features: \(features.joined(separator: ", "))")
        context.log("split by \(split.by.rawValue): \(counts.text())")
        return StepResult(
            artifacts: ["table": "features.parquet"],
            values: [
                "features": .array(features.map(JSONValue.string)), "label": .string(label),
                "rows": counts["rows"] ?? .null, "split": counts,
            ],
            params: ["features": features.joined(separator: ","), "split": split.by.rawValue])
    }

    private static func counts(_ path: String, _ label: String, _ engine: any SQLEngine) async throws(AerieError)
        -> JSONValue
    {
        let name = sqlIdentifier(label)
        let table = try await engine.query(
            "SELECT \"split\", count(*) AS n, count(*) FILTER (WHERE \(name) > 0) AS p, count(*) FILTER (WHERE "
                + "\(name) IS NULL) "
                + "AS missing FROM read_parquet(\(sqlString(path))) GROUP BY 1 ORDER BY 1")
        var counts = JSONObject()
        var rows: Int64 = 0
        for row in 0..<table.rowCount {
            guard table.int("missing", row) == 0 else {
                throw .invalid("with.label", "'\(label)' is null in \(table.int("missing", row)) rows")
            }
            rows += table.int("n", row)
            counts[table.text("split", row) ?? "?"] = [
                "rows": .int(table.int("n", row)), "positives": .int(table.int("p", row)),
            ]
        }
        counts["rows"] = .int(rows)
        return .object(counts)
    }
}
