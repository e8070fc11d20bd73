import AerieCore
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// Features as they were read, or what stands in for them.
struct ReadFeatures: Sendable {
    var features: FetchedFeatures
    var report: FeatureReport
}

extension LoopState {
    /// Reads on this thread; `nil` where the store is not in this process.
    ///
    /// A store that fails does not fail the request: the features' defaults stand in, and the report says why.
    /// - Throws: `invalidArgument` for what the request itself has wrong.
    func readFeatures(
        _ fetch: FeatureFetch, _ plan: PredictorPlan, _ service: ServiceKind
    ) throws(AerieError) -> ReadFeatures? {
        let start = monotonicNanoseconds()
        do throws(AerieError) {
            guard let features = try fetch.binding.lookup.readNow(asked(fetch)) else { return nil }
            return read(fetch, plan, service, .success(features), from: start)
        } catch {
            if error.code == .invalidArgument { throw error }
            return read(fetch, plan, service, .failure(error), from: start)
        }
    }

    /// Reads over the network. `completion` is called on this loop, once, at the latest when the binding's time is up;
    /// not at all if `interest` has ended.
    func readFeaturesLater(
        _ fetch: FeatureFetch, _ plan: PredictorPlan, _ service: ServiceKind, interest: Interest,
        completion: @escaping @Sendable (Result<ReadFeatures, AerieError>) -> Void
    ) {
        let start = monotonicNanoseconds()
        let isDone = Interest()
        let flow = flow
        let finish: @Sendable (Result<FetchedFeatures, AerieError>) -> Void = { [self] result in
            guard !isDone.hasEnded, !interest.hasEnded else { return }
            isDone.end()
            self.flow = flow
            if case .failure(let error) = result, error.code == .invalidArgument { return completion(.failure(error)) }
            completion(.success(read(fetch, plan, service, result, from: start)))
        }
        let loop = eventLoop
        let rows = asked(fetch)
        let limit = fetch.binding.timeout
        let timer = loop.scheduleTask(in: .milliseconds(Int64(limit))) {
            finish(.failure(AerieError(.deadlineExceeded, "the feature store did not answer in \(limit) ms")))
        }
        var isWithinCall = true
        let isRead = lanes?.read(rows, of: fetch.binding.lookup) { result in
            timer.cancel()
            // A store that is away says so at once, while the request is still being taken in.
            if isWithinCall { loop.execute { finish(result) } } else { finish(result) }
        }
        isWithinCall = false
        if isRead == true { return }
        Task {
            let result: Result<FetchedFeatures, AerieError>
            do throws(AerieError) { result = .success(try await fetch.binding.lookup.read(rows)) } catch {
                result = .failure(error)
            }
            loop.execute {
                timer.cancel()
                finish(result)
            }
        }
    }

    /// The entities to read; the views tell their time where the request is traced.
    private func asked(_ fetch: FeatureFetch) -> EntityRows {
        guard flow.note != nil else { return fetch.rows }
        var rows = fetch.rows
        rows.timesViews = true
        return rows
    }

    /// Counts a read, and puts defaults where it failed.
    private func read(
        _ fetch: FeatureFetch, _ plan: PredictorPlan, _ service: ServiceKind,
        _ result: Result<FetchedFeatures, AerieError>, from start: UInt64
    ) -> ReadFeatures {
        let end = monotonicNanoseconds()
        let nanoseconds = end &- start
        (flow.timeline.fetchStart, flow.timeline.fetchEnd) = (start, end)
        var code = service.success
        var failure: String?
        let features: FetchedFeatures
        switch result {
        case .success(let fetched):
            features = fetched
            flow.note?.views = fetched.views
        case .failure(let error):
            features = fetch.binding.lookup.defaults(fetch.rows)
            failure = error.message
            code = service.isHTTP ? error.code.httpStatus : error.code.grpcStatus
        }
        let report = fetch.report(features, failure: failure, nanoseconds: nanoseconds)
        metrics.recordFeatures(
            slot: plan.served.metricsSlot, service: service, code: code, nanoseconds: nanoseconds,
            missing: report.missing, stale: report.stale)
        return ReadFeatures(features: features, report: report)
    }
}
