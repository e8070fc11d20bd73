public import AerieCore
import GRDB
public import Serving

/// Learning routers' knowledge, choices and rewards in the metadata database.
public final class SQLiteBanditStore: BanditStore {
    private let database: MetadataDatabase

    /// - Parameter database: has been opened with `migrations` among its own.
    public init(_ database: MetadataDatabase) { self.database = database }

    public static let migrations: [Migration] = [
        Migration("bandits.1") { db in
            try db.execute(sql: """
                CREATE TABLE bandit_arm (
                  namespace TEXT NOT NULL, deployment TEXT NOT NULL, predictor TEXT NOT NULL, node TEXT NOT NULL,
                  arm INTEGER NOT NULL, version TEXT NOT NULL, reward REAL NOT NULL, penalty REAL NOT NULL,
                  feedbacks INTEGER NOT NULL,
                  PRIMARY KEY (namespace, deployment, predictor, node, arm)) WITHOUT ROWID;
                CREATE TABLE bandit_decision (
                  namespace TEXT NOT NULL, deployment TEXT NOT NULL, puid TEXT NOT NULL, predictor TEXT NOT NULL,
                  node TEXT NOT NULL, arm INTEGER NOT NULL, version TEXT NOT NULL, propensity REAL NOT NULL,
                  rows INTEGER NOT NULL, time INTEGER NOT NULL,
                  PRIMARY KEY (namespace, deployment, puid, predictor, node)) WITHOUT ROWID;
                CREATE INDEX bandit_decision_by_time ON bandit_decision (time);
                CREATE TABLE bandit_reward (
                  namespace TEXT NOT NULL, deployment TEXT NOT NULL, puid TEXT NOT NULL, predictor TEXT NOT NULL,
                  node TEXT NOT NULL, arm INTEGER NOT NULL, version TEXT NOT NULL, reward REAL NOT NULL,
                  rows INTEGER NOT NULL, time INTEGER NOT NULL, counts INTEGER NOT NULL,
                  PRIMARY KEY (namespace, deployment, puid, predictor, node)) WITHOUT ROWID;
                CREATE INDEX bandit_reward_by_time ON bandit_reward (time);
                """)
        }
    ]

    public func arms(_ keys: [BanditKey]) async throws(AerieError) -> [BanditKey: [Int: BanditArm]] {
        try await database.read { db in
            var found: [BanditKey: [Int: BanditArm]] = [:]
            for key in keys {
                let arms = try Self.arms(key, db)
                if !arms.isEmpty { found[key] = arms }
            }
            return found
        }
    }

    private static func arms(_ key: BanditKey, _ db: Database) throws -> [Int: BanditArm] {
        let rows = try Row.fetchAll(
            db, sql: """
                SELECT arm, version, reward, penalty, feedbacks FROM bandit_arm
                WHERE namespace = ? AND deployment = ? AND predictor = ? AND node = ?
                """, arguments: [key.namespace, key.deployment, key.predictor, key.node])
        return Dictionary(
            uniqueKeysWithValues: rows.map { row in
                (
                    row["arm"],
                    BanditArm(
                        version: row["version"], reward: row["reward"], penalty: row["penalty"],
                        feedbacks: row["feedbacks"])
                )
            })
    }

    public func begin(_ versions: [String], of key: BanditKey) async throws(AerieError) -> [BanditArm] {
        try await database.write { db in
            let kept = try Self.arms(key, db)
            return try versions.enumerated().map { place, version in
                if let arm = kept[place], arm.version == version { return arm }
                try db.execute(
                    sql: "INSERT OR REPLACE INTO bandit_arm VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0)",
                    arguments: [key.namespace, key.deployment, key.predictor, key.node, place, version])
                return BanditArm(version: version)
            }
        }
    }

    public func append(_ decisions: [BanditDecision]) async throws(AerieError) {
        try await database.write { db in
            let statement = try db.cachedStatement(
                sql: "INSERT OR IGNORE INTO bandit_decision VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
            for decision in decisions {
                let key = decision.key
                try statement.execute(arguments: [
                    key.namespace, key.deployment, decision.puid, key.predictor, key.node, decision.arm,
                    decision.version, decision.propensity, decision.rows, decision.time.milliseconds,
                ])
            }
        }
    }

    public func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision] {
        try await database.read { db in
            let rows = try Row.fetchAll(
                db, sql: "SELECT * FROM bandit_decision WHERE namespace = ? AND deployment = ? AND puid = ?",
                arguments: [namespace, deployment, puid])
            return rows.map { row in
                BanditDecision(
                    key: BanditKey(
                        namespace: namespace, deployment: deployment, predictor: row["predictor"], node: row["node"]),
                    puid: puid, arm: row["arm"], version: row["version"], propensity: row["propensity"],
                    rows: row["rows"], time: Timestamp(milliseconds: row["time"]))
            }
        }
    }

    public func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [BanditRewardOutcome] {
        try await database.write { db in
            try rewards.map { reward in
                let key = reward.key
                try db.execute(
                    sql: "INSERT OR IGNORE INTO bandit_reward VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    arguments: [
                        key.namespace, key.deployment, reward.puid, key.predictor, key.node, reward.arm,
                        reward.version, reward.reward, reward.rows, reward.time.milliseconds, reward.counts,
                    ])
                guard db.changesCount > 0 else { return BanditRewardOutcome(isNew: false, arm: nil) }
                guard reward.counts else { return BanditRewardOutcome(isNew: true, arm: nil) }
                try db.execute(
                    sql: """
                        UPDATE bandit_arm SET reward = reward + ?, penalty = penalty + ?, feedbacks = feedbacks + 1
                        WHERE namespace = ? AND deployment = ? AND predictor = ? AND node = ? AND arm = ? AND version = ?
                        """,
                    arguments: [
                        reward.reward * Double(reward.rows), (1 - reward.reward) * Double(reward.rows), key.namespace,
                        key.deployment, key.predictor, key.node, reward.arm, reward.version,
                    ])
                let arm = db.changesCount > 0 ? try Self.arms(key, db)[reward.arm] : nil
                return BanditRewardOutcome(isNew: true, arm: arm)
            }
        }
    }

    public func expire(before time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            try db.execute(sql: "DELETE FROM bandit_decision WHERE time < ?", arguments: [time.milliseconds])
            try db.execute(sql: "DELETE FROM bandit_reward WHERE time < ?", arguments: [time.milliseconds])
        }
    }

    public func remove(namespace: String, deployment: String) async throws(AerieError) {
        try await database.write { db in
            for table in ["bandit_arm", "bandit_decision", "bandit_reward"] {
                try db.execute(
                    sql: "DELETE FROM \(table) WHERE namespace = ? AND deployment = ?", arguments: [namespace, deployment])
            }
        }
    }
}
