import AerieCore
import Dispatch

/// Loads models on threads of their own, each content once: who asks for one that is being loaded waits for it, who
/// asks for one that is still in use, or was among the last two loaded, gets that object.
actor ModelPool {
    private struct Weak {
        weak var model: (any InferenceModel)?
    }

    private let loader: ModelLoader
    private let threads = DispatchQueue(label: "aerie.models", qos: .utility, attributes: .concurrent)
    private var flights: [String: Task<Result<any InferenceModel, AerieError>, Never>] = [:]
    private var known: [String: Weak] = [:]
    /// Kept so that going back to the version before is instant.
    private var recent: [any InferenceModel] = []
    private static let recentCount = 2
    /// What each content that is in memory was warmed up with.
    private var warmed: [String: [ServingPolicy.Warmup]] = [:]

    init(loader: ModelLoader) { self.loader = loader }

    /// - Throws: what `ModelLoader.load` throws. A failure is not remembered.
    func model(at location: ModelLocation) async throws(AerieError) -> any InferenceModel {
        let key = location.identity
        if let model = known[key]?.model { return model }
        if let flight = flights[key] { return try await flight.value.get() }
        let flight = Task { [loader, threads] in
            await withCheckedContinuation { continuation in
                threads.async {
                    continuation.resume(returning: Result { () throws(AerieError) in try loader.load(location) })
                }
            }
        }
        flights[key] = flight
        let result = await flight.value
        flights[key] = nil
        if case .success(let model) = result {
            known = known.filter { $0.value.model != nil }
            warmed = warmed.filter { known[$0.key] != nil }
            known[key] = Weak(model: model)
            recent.append(model)
            if recent.count > Self.recentCount { recent.removeFirst() }
        }
        return try result.get()
    }

    /// Runs the warm-ups on a model that was loaded here, once.
    /// - Throws: what the model throws; it is tried again when it is asked for again.
    func warm(
        _ model: any InferenceModel, at location: ModelLocation, _ warmups: [ServingPolicy.Warmup]
    ) async throws(AerieError) {
        guard !warmups.isEmpty, warmed[location.identity] != warmups else { return }
        let result = await withCheckedContinuation { continuation in
            threads.async {
                continuation.resume(
                    returning: Result { () throws(AerieError) in try ModelWarmup(model: model).run(warmups) })
            }
        }
        try result.get()
        warmed[location.identity] = warmups
    }

    /// Reads a table of numbers on one of the threads. Nothing is remembered.
    func table(
        at location: ModelLocation, columns: [String], allowsMissing: Bool = false
    ) async throws(AerieError) -> NumberRows {
        let result: Result<NumberRows, AerieError> = await withCheckedContinuation { continuation in
            threads.async {
                continuation.resume(
                    returning: Result { () throws(AerieError) in
                        try ReferenceTable.read(location.path, columns: columns, allowsMissing: allowsMissing)
                    })
            }
        }
        return try result.get()
    }
}
