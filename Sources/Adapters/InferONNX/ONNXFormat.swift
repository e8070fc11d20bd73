public import AerieCore
import COnnxRuntime
public import Serving

#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// ONNX models, run by ONNX Runtime on the processor, or by what else it was built for.
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

    /// How far the library changes a graph into one that computes the same.
    public enum GraphOptimization: String, Sendable, CaseIterable {
        case none, basic, extended, all

        fileprivate var level: Int32 {
            switch self {
            case .none: CORT_OPTIMIZE_NONE.int32
            case .basic: CORT_OPTIMIZE_BASIC.int32
            case .extended: CORT_OPTIMIZE_EXTENDED.int32
            case .all: CORT_OPTIMIZE_ALL.int32
            }
        }
    }

    /// The execution providers of the library that is here, `cpu` among them.
    /// - Throws: `unavailable` if the library is missing.
    public static func providers(in folder: String? = nil) throws(AerieError) -> [ExecutionProvider] {
        try loadLibrary(from: folder)
        var set: Int32 = 0
        try ONNXFailure.check(cort_providers(&set))
        return ExecutionProvider.allCases.filter { $0 == .cpu || set & $0.bit != 0 }
    }

    /// - Throws: `unavailable` if the library is missing; `notFound` if the file is; `invalidArgument` with the
    ///   offset at which the file's structure breaks, or with the library's words if its content does; `unsupported`
    ///   for operators and types that are not carried out.
    public func load(file path: String) throws(AerieError) -> any InferenceModel {
        try load(file: path, options: ModelLoadOptions())
    }

    /// The first provider of the list that is there computes the model; `notes` of its description say so if it is not
    /// the first of the list.
    public func load(file path: String, options: ModelLoadOptions) throws(AerieError) -> any InferenceModel {
        try load(file: path, providers: options.providers, optimization: .all, savingTo: nil)
    }

    /// Writes the graph as the library has optimized it for this machine.
    /// - Throws: what `load` throws; `permissionDenied` where the file cannot be written.
    public func optimize(file path: String, _ level: GraphOptimization, to output: String) throws(AerieError) {
        _ = try load(file: path, providers: [], optimization: level, savingTo: output)
        guard access(output, R_OK) == 0 else {
            throw AerieError(.permissionDenied, "ONNX Runtime has not written \(output)")
        }
    }

    /// Loads a graph with another optimization than that for serving, to see what it gains.
    public func load(file path: String, optimization: GraphOptimization) throws(AerieError) -> any InferenceModel {
        try load(file: path, providers: [], optimization: optimization, savingTo: nil)
    }

    private func load(
        file path: String, providers: [ExecutionProvider], optimization: GraphOptimization, savingTo output: String?
    ) throws(AerieError) -> any InferenceModel {
        try Self.loadLibrary(from: nativeFolder)
        try ONNXStructure.check(file: path)
        let there = try Self.providers(in: nativeFolder)
        var missing: [String] = []
        var rest = providers.isEmpty ? [.cpu] : providers
        while let first = rest.first {
            var note = missing.isEmpty
                ? nil : "\(path): \(missing.joined(separator: "; ")); it is computed by \(first.rawValue) instead"
            if there.contains(first) {
                let usable = rest.prefix { $0 != .cpu }.filter(there.contains)
                var session: cort_handle?
                let status = create(path, usable, optimization, output, &session)
                if let failure = ONNXFailure(status) {
                    // What fails with the processor alone is the model's own fault.
                    if first == .cpu { throw failure.asLoadError(of: path) }
                    missing.append("\(first.rawValue) cannot be used (\(failure.words))")
                    rest.removeFirst()
                    continue
                }
                guard let session else { throw AerieError(.internal, "ONNX Runtime gives no session for \(path)") }
                if first == .cpu, providers.isEmpty { note = nil }
                return try ONNXModel(session: ONNXSession(session), path: path, notes: note.map { [$0] } ?? [])
            }
            missing.append("the execution provider \(first.rawValue) is not there")
            rest.removeFirst()
        }
        throw AerieError(
            .failedPrecondition,
            "\(path): \(missing.joined(separator: "; ")); this ONNX Runtime has "
                + there.map(\.rawValue).joined(separator: ", ")
                + ". Install one that has it, or declare a fallback, such as \(providers[0].rawValue),cpu",
            reason: "model.provider")
    }

    private func create(
        _ path: String, _ providers: [ExecutionProvider], _ optimization: GraphOptimization, _ output: String?,
        _ session: inout cort_handle?
    ) -> cort_status {
        var options = cort_session_options()
        options.threads = Int32(clamping: max(1, threads))
        options.optimization = optimization.level
        options.providers = (providers.first?.bit ?? 0, providers.dropFirst().first?.bit ?? 0)
        guard let output else { return cort_session_create(path, &options, &session) }
        return output.withCString { pointer in
            options.optimized_path = pointer
            return cort_session_create(path, &options, &session)
        }
    }

    private static func loadLibrary(from folder: String?) throws(AerieError) {
        let path = try NativeLibraries.locate(.onnxRuntime, in: folder)
        if let problem = cort_load(path) { throw NativeLibraries.missing(.onnxRuntime, String(cString: problem)) }
    }
}

extension ExecutionProvider {
    fileprivate var bit: Int32 {
        switch self {
        case .cpu: 0
        case .cuda: CORT_CUDA.int32
        case .tensorrt: CORT_TENSORRT.int32
        }
    }
}
