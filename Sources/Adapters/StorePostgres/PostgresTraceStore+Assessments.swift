public import AerieCore
import AerieJSON
public import Experiments

extension PostgresTraceStore {
    public func add(_ assessment: Assessment) async throws(AerieError) {
        try await database.write { db in
            try Self.lock(db, [assessment.traceID])
            guard let owner = try Self.find(db, assessment.traceID) else {
                throw AerieError.missing(assessment.traceID)
            }
            if let old = assessment.overrides, try !Self.mark(db, old, owner: owner, isValid: false) {
                throw AerieError.missing(old, of: assessment.traceID)
            }
            try Self.write(db, assessment, owner: owner)
        }
    }

    public func rewrite(
        _ id: AssessmentID, of trace: TraceID,
        _ change: @escaping @Sendable (Assessment) throws(AerieError) -> Assessment?
    ) async throws(AerieError) -> Assessment? {
        try await database.write { db in
            try Self.lock(db, [trace])
            guard let owner = try Self.find(db, trace),
                let old = try Self.assessments(db, [owner])[owner]?.first(where: { $0.id == id })
            else { throw AerieError.missing(id, of: trace) }
            guard let new = try change(old) else {
                try db.execute("DELETE FROM trace_assessments WHERE id = ?", [.init(id.text)])
                if let overridden = old.overrides { _ = try Self.mark(db, overridden, owner: owner, isValid: true) }
                return nil
            }
            try Self.write(db, new, owner: owner)
            return new
        }
    }

    private static func mark(_ db: PostgresConnection, _ id: AssessmentID, owner: Int64, isValid: Bool) throws -> Bool {
        try db.execute(
            "UPDATE trace_assessments SET is_valid = ? WHERE id = ? AND owner = ?",
            [.init(isValid ? 1 : 0), .init(id.text), .init(owner)]) > 0
    }

    static func write(_ db: PostgresConnection, _ assessment: Assessment, owner: Int64) throws {
        let written = try db.execute(
            """
            INSERT INTO trace_assessments AS old (id, owner, name, creation_time, last_update_time, overrides,
                is_valid, content, kind, value, number, is_numeric, of_session)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, last_update_time = excluded.last_update_time,
                overrides = excluded.overrides, is_valid = excluded.is_valid, content = excluded.content,
                kind = excluded.kind, value = excluded.value, number = excluded.number,
                is_numeric = excluded.is_numeric, of_session = excluded.of_session
            WHERE old.owner = excluded.owner
            """,
            [
                .init(assessment.id.text), .init(owner), .init(assessment.name),
                .init(assessment.createTime.milliseconds), .init(assessment.lastUpdateTime.milliseconds),
                .init(assessment.overrides?.text), .init(assessment.isValid ? 1 : 0),
                .init(JSONValue.object(assessment.content).text()),
            ] + facts(assessment))
        guard written > 0 else {
            throw AerieError.taken(assessment.id)
        }
        let count = try db.query("SELECT COUNT(*) FROM trace_assessments WHERE owner = ?", [.init(owner)])
        guard try count.first?.int(0) ?? 0 <= TraceLimits.assessmentsPerTrace else {
            throw AerieError.tooManyAssessments
        }
    }

    static func assessments(_ db: PostgresConnection, _ owners: [Int64]) throws -> [Int64: [Assessment]] {
        guard !owners.isEmpty else { return [:] }
        var result: [Int64: [Assessment]] = [:]
        let rows = try db.query(
            """
            SELECT a.owner, a.id, t.id, a.name, a.creation_time, a.last_update_time, a.overrides, a.is_valid, a.content
            FROM trace_assessments a JOIN traces t ON t.seq = a.owner
            WHERE a.owner = ANY(?::bigint[]) ORDER BY a.owner, a.seq
            """, [.array(owners)])
        for row in rows {
            let content = try row.text(8)
            result[try row.int(0), default: []].append(
                Assessment(
                    id: AssessmentID(try row.text(1)), traceID: TraceID(try row.text(2)), name: try row.text(3),
                    createTime: try row.time(4), lastUpdateTime: try row.time(5),
                    overrides: row.optionalText(6).map { AssessmentID($0) }, isValid: try row.int(7) != 0,
                    content: (try? JSONValue.parse(content).object) ?? [:]))
        }
        return result
    }
}
