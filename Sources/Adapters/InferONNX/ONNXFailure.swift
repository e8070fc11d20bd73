import AerieCore
import COnnxRuntime
#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the library says of a call that failed.
struct ONNXFailure {
    let code: Int32
    let words: String

    /// The library's number for "this operator or type has no implementation".
    private static let notImplemented: Int32 = 9

    /// Takes the status over and frees its text; `nil` for success.
    init?(_ status: cort_status) {
        if status.code == 0 { return nil }
        code = status.code
        words = status.message.map { String(cString: $0) } ?? "ONNX Runtime failed and does not say why"
        free(status.message)
    }

    func asLoadError(of path: String) -> AerieError {
        AerieError(
            code == Self.notImplemented ? .unsupported : .invalidArgument,
            "\(path): ONNX Runtime does not take the model: \(words)", reason: "model.onnx")
    }

    func asRunError() -> AerieError { AerieError(.internal, "ONNX Runtime: \(words)") }

    /// For calls that fail only by a defect of ours or of the library.
    static func check(_ status: cort_status) throws(AerieError) {
        if let failure = ONNXFailure(status) { throw failure.asRunError() }
    }
}
