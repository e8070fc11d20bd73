import AerieCore
import CLightGBM

/// A model of the library, in training or loaded from text. Used on one thread; freed with the last reference.
final class LightGBMBooster {
    private let handle: clgbm_handle
    private let hasValidation: Bool
    /// Kept because the library does not copy them.
    private let datasets: [LightGBMDataset]

    init(
        _ training: LightGBMDataset, validation: LightGBMDataset?, parameters: LightGBMParameters
    ) throws(AerieError) {
        var booster: clgbm_handle?
        guard clgbm_booster_create(training.handle, parameters.text, &booster) == 0, let booster else {
            throw Self.error()
        }
        handle = booster
        hasValidation = validation != nil
        datasets = [training, validation].compactMap(\.self)
        if let validation, clgbm_booster_add_validation(booster, validation.handle) != 0 { throw Self.error() }
    }

    init(text: String) throws(AerieError) {
        var booster: clgbm_handle?
        var iterations: Int32 = 0
        guard text.hasPrefix("tree\n"), clgbm_booster_from_text(text, &iterations, &booster) == 0, let booster else {
            throw AerieError(.invalidArgument, "the text is not a LightGBM model: \(Self.error().message)")
        }
        handle = booster
        hasValidation = false
        datasets = []
    }

    deinit { _ = clgbm_booster_free(handle) }

    /// What the library says of the call on this thread that has just failed.
    static func error() -> AerieError {
        guard let text = clgbm_error() else { return AerieError(.invalidArgument, "LightGBM failed") }
        // A failed check ends in a place of the library's own sources, which says nothing to the caller.
        let words = String(cString: text).split(separator: " at /", maxSplits: 1).first ?? ""
        return AerieError(.invalidArgument, "LightGBM: \(words)")
    }

    /// Grows one tree an output; true if no split was found any more.
    func update() throws(AerieError) -> Bool {
        var isFinished: Int32 = 0
        guard clgbm_booster_update(handle, &isFinished) == 0 else { throw Self.error() }
        return isFinished != 0
    }

    /// Rounds that the model has.
    func iteration() throws(AerieError) -> Int {
        var iteration: Int32 = 0
        guard clgbm_booster_iteration(handle, &iteration) == 0 else { throw Self.error() }
        return Int(iteration)
    }

    func metricNames() throws(AerieError) -> [String] {
        var count: Int32 = 0
        guard clgbm_booster_metric_count(handle, &count) == 0 else { throw Self.error() }
        if count == 0 || !hasValidation { return [] }
        let capacity = 256
        let texts = (0..<Int(count)).map { _ -> UnsafeMutablePointer<CChar>? in
            let text = UnsafeMutablePointer<CChar>.allocate(capacity: capacity)
            text.initialize(repeating: 0, count: capacity)
            return text
        }
        defer { for text in texts { text?.deallocate() } }
        var pointers = texts
        var written: Int32 = 0
        var needed: UInt64 = 0
        guard clgbm_booster_metric_names(handle, count, &written, UInt64(capacity), &needed, &pointers) == 0 else {
            throw Self.error()
        }
        return texts.compactMap { $0.map { String(cString: $0) } }
    }

    func validationMetrics(count: Int) throws(AerieError) -> [Double] {
        if count == 0 { return [] }
        var values = [Double](repeating: .nan, count: count)
        var written: Int32 = 0
        guard clgbm_booster_metrics(handle, 1, &written, &values) == 0 else { throw Self.error() }
        return values
    }

    func text(rounds: Int) throws(AerieError) -> String {
        var needed: Int64 = 0
        let rounds = Int32(clamping: rounds)
        guard clgbm_booster_text(handle, rounds, 0, &needed, nil) == 0 else { throw Self.error() }
        var buffer = [CChar](repeating: 0, count: Int(clamping: max(1, needed)))
        guard clgbm_booster_text(handle, rounds, Int64(buffer.count), &needed, &buffer) == 0 else { throw Self.error() }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func gain(rounds: Int) throws(AerieError) -> [Double] {
        var count: Int32 = 0
        guard clgbm_booster_feature_count(handle, &count) == 0 else { throw Self.error() }
        var gains = [Double](repeating: 0, count: Int(count))
        guard clgbm_booster_gain(handle, Int32(clamping: rounds), &gains) == 0 else { throw Self.error() }
        return gains
    }

    func predict(_ values: [Double], columns: Int) throws(AerieError) -> [Double] {
        let rows = values.count / columns
        if rows == 0 { return [] }
        guard let count = Int32(exactly: rows), let width = Int32(exactly: columns) else {
            throw .invalid("values", "\(rows) rows are more than LightGBM takes at once")
        }
        var features: Int32 = 0
        guard clgbm_booster_feature_count(handle, &features) == 0 else { throw Self.error() }
        if features != width { throw .invalid("featureCount", "the model has \(features) features, not \(width)") }
        var expected: Int64 = 0
        guard clgbm_booster_prediction_count(handle, count, &expected) == 0 else { throw Self.error() }
        var predictions = [Double](repeating: 0, count: Int(clamping: expected))
        var written: Int64 = 0
        guard clgbm_booster_predict(
            handle, values, count, width, "num_threads=2 verbosity=-1", &written, &predictions) == 0
        else { throw Self.error() }
        return predictions
    }
}
