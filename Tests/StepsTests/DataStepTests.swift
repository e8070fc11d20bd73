import AerieCore
import AerieJSON
import Datasets
import Foundation
import Pipelines
import StoreDuckDB
import Testing
import TrainLightGBM

@testable import Steps

/// The steps on data, with the real engine and the real trainer.
@Suite struct DataStepTests {
    private static let steps = Dictionary(
        uniqueKeysWithValues: BuiltInSteps.all(engine: { DuckDBEngine() }, trainer: { LightGBMTrainer() }).map {
            ($0.name, $0)
        })

    private func run(
        _ name: String, _ parameters: JSONObject, in folder: TemporaryFolder, log: StepLogLines = StepLogLines()
    ) async throws -> StepResult {
        let step = try #require(Self.steps[name])
        let result = try await step.run(folder.context(name, parameters, log: log))
        for (output, path) in result.artifacts {
            #expect(step.outputs.contains(output))
            #expect(FileManager.default.fileExists(atPath: folder.path + "/\(name)/" + path))
        }
        for key in result.values.keys { #expect(step.outputs.contains(key), "\(name) gives \(key)") }
        return result
    }

    private static let seen = """
        count(*) OVER (PARTITION BY user_id ORDER BY event_time \
        RANGE BETWEEN INTERVAL 24 HOURS PRECEDING AND CURRENT ROW) - 1
        """

    private static let columns: [JSONValue] = [
        "amount", "transaction_hour", "merchant_category", "foreign_transaction", "location_mismatch",
        "device_trust_score", "velocity_last_24h", "cardholder_age",
    ]

    /// From ingest to evaluate; gives the last two results.
    private func trainFraud(_ ingest: JSONObject, in folder: TemporaryFolder) async throws -> (
        train: StepResult, evaluate: StepResult
    ) {
        _ = try await run("ingest", ingest, in: folder)
        let features = try await run(
            "features",
            [
                "table": .string(folder.path + "/ingest/table.parquet"), "label": "is_fraud",
                "columns": .array(Self.columns),
            ], in: folder)
        #expect(features.values["split"]?["train"]?["rows"] == 6000)
        #expect(features.values["split"]?["validation"]?["rows"] == 1500)
        let table = JSONValue.string(folder.path + "/features/features.parquet")
        let train = try await run(
            "train",
            [
                "table": table, "label": "is_fraud", "features": features.values["features"] ?? .null,
            ], in: folder)
        let evaluate = try await run(
            "evaluate",
            [
                "table": table, "label": "is_fraud", "model": .string(folder.path + "/train/model"),
                "threshold": train.values["threshold"] ?? .null,
            ], in: folder)
        return (train, evaluate)
    }

    @Test(
        "The generated stream is learned to AUC > 0.95 and F1 > 0.90, well above a linear model", arguments: [7, 8, 9])
    func generated(seed: Int64) async throws {
        let folder = try TemporaryFolder()
        let (train, evaluate) = try await trainFraud(["generate": ["rows": 10_000, "seed": .int(seed)]], in: folder)
        let number = { (name: String) in evaluate.values[name]?.double ?? 0 }
        print(
            "seed \(seed): AUC \(number("auc")) AP \(number("average_precision")) F1 \(number("f1")) positives "
                + "\(number("positives")); logistic AUC \(number("baseline_auc")) F1 \(number("baseline_f1"))")
        #expect(number("auc") > 0.95 && number("f1") > 0.90)
        #expect(number("baseline_f1") < number("f1") - 0.1)
        #expect(evaluate.values["threshold"] == train.values["threshold"])
        #expect(train.metrics.count { $0.key == "validation_binary_logloss" } > 50)
        let holdout = try WorkFolder.readJSON(folder.path + "/evaluate/holdout.json")
        #expect(holdout["rows"]?.array?.count == 2500 && holdout["predictions"]?.array?.count == 2500)
    }

    @Test(
        "The original file, without users and times, goes through the same steps",
        .enabled(if: FileManager.default.fileExists(atPath: "../shared/data/fraud/credit_card_fraud_10k.csv")))
    func original() async throws {
        let folder = try TemporaryFolder()
        let (_, evaluate) = try await trainFraud(["path": "../shared/data/fraud/credit_card_fraud_10k.csv"], in: folder)
        let number = { (name: String) in evaluate.values[name]?.double ?? 0 }
        print(
            "original: AUC \(number("auc")) AP \(number("average_precision")) F1 \(number("f1")) positives "
                + "\(number("positives")); logistic AUC \(number("baseline_auc")) F1 \(number("baseline_f1"))")
        #expect(number("auc") > 0.95 && number("f1") > 0.90 && number("positives") == 33)
    }

    @Test("The same parameters give the same model") func repeatable() async throws {
        let folder = try TemporaryFolder()
        let ingest: JSONObject = ["generate": ["rows": 10_000, "seed": 3]]
        _ = try await trainFraud(ingest, in: folder)
        let first = try WorkFolder.read(folder.path + "/train/model/model.lgb")
        _ = try await trainFraud(ingest, in: folder)
        #expect(try WorkFolder.read(folder.path + "/train/model/model.lgb") == first)
    }

    @Test("Ingest profiles the table and hashes what came in") func ingest() async throws {
        let folder = try TemporaryFolder()
        try "a,b,ok\n1,x,TRUE\n2,,FALSE\n2,y,TRUE\n".write(
            toFile: folder.path + "/d1.csv", atomically: true, encoding: .utf8)
        let result = try await run("ingest", ["path": .string(folder.path + "/d*.csv")], in: folder)
        #expect(result.values["rows"] == 3)
        #expect(result.values["columns"] == ["a", "b", "ok"])
        // sha256sum of the file's bytes.
        #expect(result.values["hash"]?.string?.count == 64)
        let profile = try WorkFolder.readJSON(folder.path + "/ingest/profile.json")["profile"]
        #expect(profile?["columns"]?[1]?["nulls"] == 1)
        #expect(profile?["columns"]?[0]?["distinct"] == 2)
        #expect(profile?["columns"]?[2]?["type"] == "BOOLEAN")
    }

    @Test(
        "Ingest says what is wrong with its source",
        arguments: [
            (["path": "/nowhere/x.csv"], "there is no file '/nowhere/x.csv'"),
            (["path": "https://example.com/x.csv"], "is a URL"),
            (["path": "x.xlsx"], "neither CSV"), ([:], "needs either a path or generate"),
            (["generate": ["rows": 3]], "with.generate.rows"),
        ] as [(JSONObject, String)])
    func wrongSource(parameters: JSONObject, words: String) async throws {
        let folder = try TemporaryFolder()
        let error = await #expect(throws: AerieError.self) { try await run("ingest", parameters, in: folder) }
        #expect(error?.code == .invalidArgument && error?.message.contains(words) == true, "\(error?.message ?? "")")
    }

    @Test("Validate fails with the expectation and its examples, and writes the report") func validate() async throws {
        let folder = try TemporaryFolder()
        try "a,b\n1,x\n-2,y\n".write(toFile: folder.path + "/d.csv", atomically: true, encoding: .utf8)
        let table = JSONValue.string(folder.path + "/d.csv")
        let error = await #expect(throws: AerieError.self) {
            try await run(
                "validate",
                ["table": table, "suite": [["type": "column_values_to_be_between", "column": "a", "min_value": 0]]],
                in: folder)
        }
        #expect(error?.reason == "validation.failed")
        #expect(error?.message.contains("-2") == true && error?.message.contains("rows 1") == true)
        #expect(try WorkFolder.readJSON(folder.path + "/validate/report.json")["success"] == false)
        let result = try await run(
            "validate",
            [
                "table": table,
                "suite": [
                    "name": "s",
                    "expectations": [
                        ["type": "table_row_count_to_equal", "kwargs": ["value": 2]],
                        ["type": "column_values_to_be_null", "column": "a", "severity": "info"],
                    ],
                ],
            ], in: folder)
        #expect(result.values["unsuccessful"] == 1)
    }

    @Test("Features joins a view by time, adds window expressions and leaves out those it cannot make") func features()
        async throws
    {
        let folder = try TemporaryFolder()
        try """
        user_id,event_time,amount,y
        u1,2026-01-01 10:00:00,10,0
        u1,2026-01-01 11:00:00,20,1
        u2,2026-01-01 09:00:00,30,0
        u1,2026-01-03 10:00:00,40,1
        """.write(toFile: folder.path + "/d.csv", atomically: true, encoding: .utf8)
        try "user_id,event_timestamp,risk\nu1,2026-01-01 10:30:00,0.5\nu2,2026-01-01 09:00:00,0.9\n"
            .write(toFile: folder.path + "/risk.csv", atomically: true, encoding: .utf8)
        let log = StepLogLines()
        let result = try await run(
            "features",
            [
                "table": .string(folder.path + "/d.csv"), "label": "y", "exclude": ["user_id"],
                "joinKeys": ["user": "user_id"],
                "views": [
                    [
                        "name": "risk_view", "entities": ["user"], "ttl": "86400s",
                        "source": ["path": .string(folder.path + "/risk.csv")],
                        "features": [["name": "risk", "dtype": "DOUBLE"]],
                    ]
                ],
                "expressions": [
                    [
                        "name": "seen",
                        "sql": .string(Self.seen),
                    ],
                    ["name": "never", "sql": "gone + 1", "requires": ["gone"]],
                ],
                "split": ["train": 0.5, "validation": 0.25],
            ], in: folder, log: log)
        #expect(result.values["features"] == ["amount", "risk", "seen"])
        #expect(log.text.contains("'never' is left out: the table has no gone"))
        let table = try await DuckDBEngine().query(
            "SELECT risk, seen, \"split\" FROM read_parquet('\(folder.path)/features/features.parquet') ORDER BY "
                + "row_index"
        )
        #expect(table["seen"]?.doubles == [0, 1, 0, 0])
        #expect(
            (0..<4).map { table["split"]?[$0] } == [.text("train"), .text("validation"), .text("train"), .text("test")])
        let risk = table["risk"]?.doubles ?? []
        #expect(risk[0].isNaN && risk[1] == 0.5 && risk[2] == 0.9 && risk[3].isNaN)
    }

    @Test("A stratified split keeps the share of positives in each part") func stratified() async throws {
        let folder = try TemporaryFolder()
        let text = "a,y\n" + (0..<1000).map { "\($0),\($0 % 10 == 0 ? 1 : 0)" }.joined(separator: "\n")
        try text.write(toFile: folder.path + "/d.csv", atomically: true, encoding: .utf8)
        let result = try await run(
            "features",
            [
                "table": .string(folder.path + "/d.csv"), "label": "y", "split": ["by": "stratified", "seed": 5],
            ], in: folder)
        #expect(
            result.values["split"] == [
                "rows": 1000, "train": ["rows": 600, "positives": 60], "validation": ["rows": 150, "positives": 15],
                "test": ["rows": 250, "positives": 25],
            ])
    }

    @Test(
        "Training says what is wrong",
        arguments: [
            (["parameters": ["num_leafs": 3]], "num_leafs"), (["features": []], "at least one feature"),
            (["features": ["nope"]], "no column 'nope'"), (["features": ["y"]], "the label"),
            (["label": "a"], "neither 0 nor 1"),
            (["rounds": 0], "with.rounds"),
        ] as [(JSONObject, String)])
    func wrongTraining(change: JSONObject, words: String) async throws {
        let folder = try TemporaryFolder()
        let text = "a,b,y\n" + (0..<200).map { "\($0),\($0 % 7),\($0 % 2)" }.joined(separator: "\n")
        try text.write(toFile: folder.path + "/d.csv", atomically: true, encoding: .utf8)
        _ = try await run("features", ["table": .string(folder.path + "/d.csv"), "label": "y"], in: folder)
        var parameters: JSONObject = [
            "table": .string(folder.path + "/features/features.parquet"), "label": "y", "features": ["b"],
        ]
        for member in change.members { parameters[member.key] = member.value }
        let given = parameters
        let error = await #expect(throws: AerieError.self) { try await run("train", given, in: folder) }
        #expect(error?.message.contains(words) == true, "\(error?.message ?? "")")
    }
}
