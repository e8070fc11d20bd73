public import AerieCore
import AerieJSON
public import Experiments
import GRDB

extension SQLiteTraceStore {
    public func add(_ assessment: Assessment) async throws(AerieError) {
        try await database.write { db in
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
            guard let owner = try Self.find(db, trace),
                let old = try Self.assessments(db, [owner])[owner]?.first(where: { $0.id == id })
            else { throw AerieError.missing(id, of: trace) }
            guard let new = try change(old) else {
                try db.execute(sql: "DELETE FROM trace_assessments WHERE id = ?", arguments: [id.text])
                if let overridden = old.overrides { _ = try Self.mark(db, overridden, owner: owner, isValid: true) }
                return nil
            }
            try Self.write(db, new, owner: owner)
            return new
        }
    }

    private static func mark(_ db: Database, _ id: AssessmentID, owner: Int64, isValid: Bool) throws -> Bool {
        try db.execute(
            sql: "UPDATE trace_assessments SET is_valid = ? WHERE id = ? AND owner = ?",
            arguments: [isValid, id.text, owner])
        return db.changesCount > 0
    }

    static func write(_ db: Database, _ assessment: Assessment, owner: Int64) throws {
        try db.execute(
            sql: """
                INSERT INTO trace_assessments (id, owner, name, creation_time, last_update_time, overrides, is_valid,
                    content, kind, value, number, is_numeric, of_session)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                ON CONFLICT (id) DO UPDATE SET name = excluded.name, last_update_time = excluded.last_update_time,
                    overrides = excluded.overrides, is_valid = excluded.is_valid, content = excluded.content,
                    kind = excluded.kind, value = excluded.value, number = excluded.number,
                    is_numeric = excluded.is_numeric, of_session = excluded.of_session
                WHERE owner = excluded.owner
                """,
            arguments: [
                assessment.id.text, owner, assessment.name, assessment.createTime.milliseconds,
                assessment.lastUpdateTime.milliseconds, assessment.overrides?.text, assessment.isValid,
                JSONValue.object(assessment.content).text(),
            ] + facts(assessment))
        guard db.changesCount > 0 else {
            throw AerieError.taken(assessment.id)
        }
        let count = try Int.fetchOne(
            db, sql: "SELECT COUNT(*) FROM trace_assessments WHERE owner = ?", arguments: [owner])
        guard count ?? 0 <= TraceLimits.assessmentsPerTrace else {
            throw AerieError.tooManyAssessments
        }
    }

    static func assessments(_ db: Database, _ owners: [Int64]) throws -> [Int64: [Assessment]] {
        var result: [Int64: [Assessment]] = [:]
        for batch in OwnerBatch.of(owners) {
            let rows = try batch.rows(
                db,
                """
                SELECT a.owner, a.id, t.id, a.name, a.creation_time, a.last_update_time, a.overrides, a.is_valid,
                    a.content FROM trace_assessments a JOIN traces t ON t.seq = a.owner
                WHERE a.owner IN (\(batch.marks)) ORDER BY a.owner, a.seq
                """)
            while let row = try rows.next() {
                let overrides: String? = row[6]
                result[row[0], default: []].append(
                    Assessment(
                        id: AssessmentID(row[1]), traceID: TraceID(row[2]), name: row[3],
                        createTime: Timestamp(milliseconds: row[4]), lastUpdateTime: Timestamp(milliseconds: row[5]),
                        overrides: overrides.map { AssessmentID($0) }, isValid: row[7],
                        content: (try? JSONValue.parse(row[8] as String).object) ?? [:]))
            }
        }
        return result
    }
}
