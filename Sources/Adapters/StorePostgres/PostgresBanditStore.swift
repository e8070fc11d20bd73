public import AerieCore
public import Serving

/// Learning routers' knowledge, choices and rewards in PostgreSQL, shared by the servers that serve the deployments.
public struct PostgresBanditStore: BanditStore {
    private let database: PostgresDatabase

    public init(_ database: PostgresDatabase) { self.database = database }

    private static let text = PostgresTables.text
    private static let router = """
        namespace \(text) NOT NULL, deployment \(text) NOT NULL, predictor \(text) NOT NULL, node \(text) NOT NULL
        """

    static let migration = PostgresMigration(
        name: "bandits.1",
        statements: [
            """
            CREATE TABLE bandit_arm (
                \(router), arm BIGINT NOT NULL, version \(text) NOT NULL, reward DOUBLE PRECISION NOT NULL,
                penalty DOUBLE PRECISION NOT NULL, feedbacks BIGINT NOT NULL,
                PRIMARY KEY (namespace, deployment, predictor, node, arm))
            """,
            """
            CREATE TABLE bandit_decision (
                \(router), puid \(text) NOT NULL, arm BIGINT NOT NULL, version \(text) NOT NULL,
                propensity DOUBLE PRECISION NOT NULL, rows BIGINT NOT NULL, time BIGINT NOT NULL,
                PRIMARY KEY (namespace, deployment, puid, predictor, node))
            """,
            "CREATE INDEX bandit_decision_by_time ON bandit_decision (time)",
            """
            CREATE TABLE bandit_reward (
                \(router), puid \(text) NOT NULL, arm BIGINT NOT NULL, version \(text) NOT NULL,
                reward DOUBLE PRECISION NOT NULL, rows BIGINT NOT NULL, time BIGINT NOT NULL, counts BOOLEAN NOT NULL,
                PRIMARY KEY (namespace, deployment, puid, predictor, node))
            """,
            "CREATE INDEX bandit_reward_by_time ON bandit_reward (time)",
        ])

    public func arms(_ keys: [BanditKey]) async throws(AerieError) -> [BanditKey: [Int: BanditArm]] {
        guard !keys.isEmpty else { return [:] }
        return try await database.read { db in try Self.arms(keys, db) }
    }

    private static func arms(
        _ keys: [BanditKey], _ db: PostgresConnection
    ) throws -> [BanditKey: [Int: BanditArm]] {
        let rows = try db.query(
            """
            SELECT namespace, deployment, predictor, node, arm, version, reward, penalty, feedbacks
            FROM bandit_arm JOIN unnest(?::text[], ?::text[], ?::text[], ?::text[])
                AS asked (namespace, deployment, predictor, node) USING (namespace, deployment, predictor, node)
            """,
            [
                .array(keys.map(\.namespace)), .array(keys.map(\.deployment)), .array(keys.map(\.predictor)),
                .array(keys.map(\.node)),
            ])
        var found: [BanditKey: [Int: BanditArm]] = [:]
        for row in rows {
            let key = BanditKey(
                namespace: try row.text(0), deployment: try row.text(1), predictor: try row.text(2),
                node: try row.text(3))
            found[key, default: [:]][Int(try row.int(4))] = BanditArm(
                version: try row.text(5), reward: try row.double(6), penalty: try row.double(7),
                feedbacks: Int(try row.int(8)))
        }
        return found
    }

    public func begin(_ versions: [String], of key: BanditKey) async throws(AerieError) -> [BanditArm] {
        try await database.write { db in
            // Of several servers that roll the same version out, the first one begins it; the others find it begun.
            for (place, version) in versions.enumerated() {
                try db.execute(
                    """
                    INSERT INTO bandit_arm (namespace, deployment, predictor, node, arm, version, reward, penalty,
                        feedbacks)
                    VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0)
                    ON CONFLICT (namespace, deployment, predictor, node, arm) DO UPDATE
                    SET version = excluded.version, reward = 0, penalty = 0, feedbacks = 0
                    WHERE bandit_arm.version <> excluded.version
                    """, Self.place(key) + [.init(place), .init(version)])
            }
            let arms = try Self.arms([key], db)[key] ?? [:]
            return try versions.indices.map { place in
                guard let arm = arms[place] else { throw PostgresRow.unexpected }
                return arm
            }
        }
    }

    private static func place(_ key: BanditKey) -> [PostgresValue] {
        [.init(key.namespace), .init(key.deployment), .init(key.predictor), .init(key.node)]
    }

    public func append(_ decisions: [BanditDecision]) async throws(AerieError) {
        guard !decisions.isEmpty else { return }
        let columns: [PostgresValue] = [
            .array(decisions.map(\.key.namespace)), .array(decisions.map(\.key.deployment)),
            .array(decisions.map(\.key.predictor)), .array(decisions.map(\.key.node)), .array(decisions.map(\.puid)),
            .array(decisions.map { Int64($0.arm) }), .array(decisions.map(\.version)),
            .array(decisions.map { PostgresValue($0.propensity) }), .array(decisions.map { Int64($0.rows) }),
            .array(decisions.map(\.time.milliseconds)),
        ]
        try await database.write { db in
            _ = try db.execute(
                """
                INSERT INTO bandit_decision (namespace, deployment, predictor, node, puid, arm, version, propensity,
                    rows, time)
                SELECT * FROM unnest(?::text[], ?::text[], ?::text[], ?::text[], ?::text[], ?::bigint[], ?::text[],
                    ?::double precision[], ?::bigint[], ?::bigint[])
                ON CONFLICT DO NOTHING
                """, columns)
        }
    }

    public func decisions(
        puid: String, namespace: String, deployment: String
    ) async throws(AerieError) -> [BanditDecision] {
        try await database.read { db in
            let rows = try db.query(
                """
                SELECT predictor, node, arm, version, propensity, rows, time FROM bandit_decision
                WHERE namespace = ? AND deployment = ? AND puid = ? ORDER BY predictor, node
                """, [.init(namespace), .init(deployment), .init(puid)])
            return try rows.map { row in
                BanditDecision(
                    key: BanditKey(
                        namespace: namespace, deployment: deployment, predictor: try row.text(0),
                        node: try row.text(1)),
                    puid: puid, arm: Int(try row.int(2)), version: try row.text(3), propensity: try row.double(4),
                    rows: Int(try row.int(5)), time: try row.time(6))
            }
        }
    }

    public func reward(_ rewards: [BanditReward]) async throws(AerieError) -> [BanditRewardOutcome] {
        // One order for everybody, first of the rewards, then of the arms, so that no two servers wait for each other
        // in a circle.
        let byRequest = Self.places(rewards) { Self.router($0) + [$0.puid] }
        let byArm = Self.places(rewards) { Self.router($0) + [String($0.arm)] }
        return try await database.write { db in
            var outcomes = rewards.map { _ in BanditRewardOutcome(isNew: false, arm: nil) }
            for place in byRequest { outcomes[place].isNew = try Self.keep(rewards[place], db) }
            for place in byArm where outcomes[place].isNew && rewards[place].counts {
                outcomes[place].arm = try Self.add(rewards[place], db)
            }
            return outcomes
        }
    }

    private static func router(_ reward: BanditReward) -> [String] {
        [reward.key.namespace, reward.key.deployment, reward.key.predictor, reward.key.node]
    }

    /// The rewards' places in the order of what is told of them.
    private static func places(_ rewards: [BanditReward], by order: (BanditReward) -> [String]) -> [Int] {
        let orders = rewards.map(order)
        return rewards.indices.sorted { orders[$0].lexicographicallyPrecedes(orders[$1]) }
    }

    /// False for one that is there already.
    private static func keep(_ reward: BanditReward, _ db: PostgresConnection) throws -> Bool {
        try db.execute(
            """
            INSERT INTO bandit_reward (namespace, deployment, predictor, node, puid, arm, version, reward, rows, time,
                counts)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
            """,
            place(reward.key) + [
                .init(reward.puid), .init(reward.arm), .init(reward.version), .init(reward.reward), .init(reward.rows),
                .init(reward.time.milliseconds), .init(reward.counts),
            ]) > 0
    }

    /// What is known of the arm with it; `nil` where the arm has another version by now.
    private static func add(_ reward: BanditReward, _ db: PostgresConnection) throws -> BanditArm? {
        let rows = try db.query(
            """
            UPDATE bandit_arm SET reward = reward + ?::double precision, penalty = penalty + ?::double precision,
                feedbacks = feedbacks + 1
            WHERE namespace = ? AND deployment = ? AND predictor = ? AND node = ? AND arm = ? AND version = ?
            RETURNING reward, penalty, feedbacks
            """,
            [
                .init(reward.reward * Double(reward.rows)), .init((1 - reward.reward) * Double(reward.rows)),
            ] + place(reward.key) + [.init(reward.arm), .init(reward.version)])
        return try rows.first.map { row in
            BanditArm(
                version: reward.version, reward: try row.double(0), penalty: try row.double(1),
                feedbacks: Int(try row.int(2)))
        }
    }

    public func expire(before time: Timestamp) async throws(AerieError) {
        try await database.write { db in
            for table in ["bandit_decision", "bandit_reward"] {
                try db.execute("DELETE FROM \(table) WHERE time < ?", [.init(time.milliseconds)])
            }
        }
    }

    public func remove(namespace: String, deployment: String) async throws(AerieError) {
        try await database.write { db in
            for table in ["bandit_arm", "bandit_decision", "bandit_reward"] {
                try db.execute(
                    "DELETE FROM \(table) WHERE namespace = ? AND deployment = ?", [.init(namespace), .init(deployment)])
            }
        }
    }
}
