import AerieCore

/// What the MLflow client and server agree on about lengths and names.
enum ExperimentLimits {
    static let keyLength = 250
    static let paramValueLength = 6000
    static let tagValueLength = 8000
    static let experimentNameLength = 500
    static let experimentTagValueLength = 20_000
    static let metricsPerBatch = 1000
    static let paramsPerBatch = 100
    static let tagsPerBatch = 100
    static let entitiesPerBatch = 1000
    static let searchMaximum = 50_000

    /// Keys become parts of paths in other stores, so they may not look like one that leads elsewhere.
    static func checkKey(_ key: String, _ field: @autoclosure () -> String) throws(AerieError) {
        if isPlain(key) { return }
        let field = field()
        guard !key.isEmpty else { throw .invalid(field, "Missing value for required parameter '\(field)'") }
        guard key.count <= keyLength else {
            throw .invalid(field, "exceeds the maximum length of \(keyLength) characters")
        }
        let isAllowed = key.unicodeScalars.allSatisfy {
            $0.properties.isAlphabetic || $0.properties.numericType != nil || "/_-. :".unicodeScalars.contains($0)
                || $0.value > 0x7f
        }
        guard isAllowed else {
            throw .invalid(
                field, "Invalid name '\(key)': names may only contain alphanumerics, underscores (_), dashes (-), "
                    + "periods (.), spaces ( ), colons (:) and slashes (/)")
        }
        let parts = key.split(separator: "/", omittingEmptySubsequences: false)
        guard !key.hasPrefix("/"), !parts.contains(where: { $0.isEmpty || $0 == "." || $0 == ".." }) else {
            throw .invalid(field, "Invalid name '\(key)': it must be a clean path, such as a/b")
        }
    }

    /// Whether a key is of the kind that nearly all are: letters, digits, `_`, `-`, spaces and colons, not too long.
    private static func isPlain(_ key: String) -> Bool {
        key.utf8.count <= keyLength && !key.isEmpty
            && key.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: " "),
                    UInt8(ascii: ":"):
                    true
                default: false
                }
            }
    }

    static func checkRunID(_ id: RunID, _ field: String = "run_id") throws(AerieError) {
        let bytes = Array(id.text.utf8)
        func isAlphanumeric(_ byte: UInt8) -> Bool {
            (byte | 0x20 >= UInt8(ascii: "a") && byte | 0x20 <= UInt8(ascii: "z"))
                || (byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9"))
        }
        guard let first = bytes.first, bytes.count <= 256, isAlphanumeric(first),
            bytes.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") })
        else { throw .invalid(field, "Invalid run ID: '\(id.text)'") }
    }

    static func checkExperimentName(_ name: String, _ field: String = "name") throws(AerieError) {
        guard !name.isEmpty else { throw .invalid(field, "Invalid experiment name: '', it may not be empty") }
        guard name.count <= experimentNameLength else {
            throw .invalid(field, "exceeds the maximum length of \(experimentNameLength) characters")
        }
    }

    static func checkLimit(_ limit: Int, maximum: Int = searchMaximum) throws(AerieError) {
        guard limit >= 1, limit <= maximum else {
            throw .invalid("max_results", "Invalid value \(limit): it must be from 1 to \(maximum)")
        }
    }

    /// Values that are too long are cut, as the other server does. Lengths are Unicode scalars, as Python counts.
    static func cut(_ text: String, to length: Int) -> String {
        guard text.utf8.count > length else { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(length)))
    }
}
