import AerieCore
import CLightGBM
import Training

/// Rows in the library's own binned form. Used on one thread; freed with the last reference.
final class LightGBMDataset {
    let handle: clgbm_handle

    /// - Parameter reference: the training rows, whose bins validation rows share.
    init(
        _ rows: LabelledRows, parameters: LightGBMParameters, reference: LightGBMDataset?
    ) throws(AerieError) {
        let columns = Int32(rows.featureNames.count)
        let count = Int32(rows.rowCount)
        var dataset: clgbm_handle?
        let status = rows.values.withUnsafeBufferPointer { values in
            clgbm_dataset_create(
                values.baseAddress, count, columns, parameters.text, reference?.handle, &dataset)
        }
        guard status == 0, let dataset else { throw LightGBMBooster.error() }
        handle = dataset
        guard clgbm_dataset_set_floats(dataset, "label", rows.labels, count) == 0 else { throw LightGBMBooster.error() }
        if !rows.weights.isEmpty {
            guard clgbm_dataset_set_floats(dataset, "weight", rows.weights, count) == 0 else {
                throw LightGBMBooster.error()
            }
        }
        if reference == nil, Self.setNames(dataset, rows.featureNames) != 0 { throw LightGBMBooster.error() }
    }

    deinit { _ = clgbm_dataset_free(handle) }

    private static func setNames(_ dataset: clgbm_handle, _ names: [String]) -> Int32 {
        let texts = names.map { name -> UnsafeMutablePointer<CChar> in
            let bytes = name.utf8CString
            let text = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count)
            for (index, byte) in bytes.enumerated() { text[index] = byte }
            return text
        }
        defer { for text in texts { text.deallocate() } }
        let pointers = texts.map { Optional(UnsafePointer($0)) }
        return clgbm_dataset_set_feature_names(dataset, pointers, Int32(names.count))
    }
}
