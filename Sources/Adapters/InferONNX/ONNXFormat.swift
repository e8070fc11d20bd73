public import AerieCore
import COnnxRuntime
public import Serving

/// ONNX models, run by ONNX Runtime on the processor.
public struct ONNXFormat: ModelFormat {
    public let flavor = "onnx"
    public let fileExtensions = ["onnx"]

    private let nativeFolder: String?
    private let threads: Int

    /// - Parameters:
    ///   - threads: threads within one inference. One, as a server answers many requests at once.
    ///   - nativeFolder: the only folder to look for the library in; `nil` for the usual ones.
    public init(threads: Int = 1, nativeFolder: String? = nil) {
        self.threads = threads
        self.nativeFolder = nativeFolder
    }

    /// The version of the library, such as `1.32.0`. Loads it.
    /// - Throws: `unavailable` if it is missing.
    public static func libraryVersion(in folder: String? = nil) throws(AerieError) -> String {
        try loadLibrary(from: folder)
        return String(cString: cort_version())
    }

    /// - Throws: `unavailable` if the library is missing; `notFound` if the file is; `invalidArgument` with the
    ///   offset at which the file's structure breaks, or with the library's words if its content does; `unsupported`
    ///   for operators and types that are not carried out.
    public func load(file path: String) throws(AerieError) -> any InferenceModel {
        try Self.loadLibrary(from: nativeFolder)
        try ONNXStructure.check(file: path)
        var session: cort_handle?
        let status = cort_session_create(path, Int32(clamping: max(1, threads)), &session)
        if let failure = ONNXFailure(status) { throw failure.asLoadError(of: path) }
        guard let session else { throw AerieError(.internal, "ONNX Runtime gives no session for \(path)") }
        return try ONNXModel(session: ONNXSession(session), path: path)
    }

    private static func loadLibrary(from folder: String?) throws(AerieError) {
        let path = try NativeLibraries.locate(.onnxRuntime, in: folder)
        if let problem = cort_load(path) { throw NativeLibraries.missing(.onnxRuntime, String(cString: problem)) }
    }
}
