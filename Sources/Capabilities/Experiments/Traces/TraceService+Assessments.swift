public import AerieCore
import AerieJSON

extension TraceService {
    /// - Returns: it, with its identifier and times.
    /// - Throws: `notFound` for the trace or what it overrides, `invalidArgument` for a name that is none.
    public func assess(_ assessment: Assessment) async throws(AerieError) -> Assessment {
        try checkAssessment(assessment)
        try await traces.add(assessment)
        return assessment
    }

    public func assessment(_ id: AssessmentID, of trace: TraceID) async throws(AerieError) -> Assessment {
        guard let found = try await self.trace(trace).assessments.first(where: { $0.id == id }) else {
            throw AerieError.missing(id, of: trace)
        }
        return found
    }

    /// Replaces an assessment by what `change` makes of it, which may run more than once.
    public func changeAssessment(
        _ id: AssessmentID, of trace: TraceID,
        _ change: @escaping @Sendable (Assessment) throws(AerieError) -> Assessment
    ) async throws(AerieError) -> Assessment {
        let now = experiments.clock.now()
        let changed = try await traces.rewrite(id, of: trace) { old throws(AerieError) in
            var new = try change(old)
            new.lastUpdateTime = now
            try checkAssessment(new)
            return new
        }
        guard let changed else { throw AerieError.missing(id, of: trace) }
        return changed
    }

    /// Deletes an assessment; one that is not there is no error.
    public func deleteAssessment(_ id: AssessmentID, of trace: TraceID) async throws(AerieError) {
        _ = try await self.trace(trace)
        do throws(AerieError) {
            _ = try await traces.rewrite(id, of: trace) { _ throws(AerieError) in nil }
        } catch {
            guard error.code == .notFound else { throw error }
        }
    }

    /// A new identifier and the present moment, of which an assessment is made.
    public func assessmentStamp() -> (id: AssessmentID, time: Timestamp) {
        (AssessmentID("a-" + experiments.identifiers.hex32()), experiments.clock.now())
    }

    func checkAssessment(_ assessment: Assessment) throws(AerieError) {
        guard !assessment.name.isEmpty, assessment.name.unicodeScalars.count <= 250 else {
            throw .invalid("assessment.assessment_name", "has 1 to 250 characters")
        }
        let length = assessment.content.members.reduce(0) { $0 + $1.value.utf8().count + $1.key.utf8.count }
        guard length <= TraceLimits.assessmentLength else {
            throw .invalid("assessment", "takes \(length) bytes; at most \(TraceLimits.assessmentLength) are kept")
        }
    }
}
