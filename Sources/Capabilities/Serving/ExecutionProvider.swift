public import AerieCore

/// What computes an ONNX model.
public enum ExecutionProvider: String, Hashable, Sendable, CaseIterable {
    case cpu, cuda, tensorrt

    /// ONNX Runtime's own name, as `MLmodel` files have it.
    public var runtimeName: String {
        switch self {
        case .cpu: "CPUExecutionProvider"
        case .cuda: "CUDAExecutionProvider"
        case .tensorrt: "TensorrtExecutionProvider"
        }
    }

    /// By either name.
    public init?(named name: String) {
        guard let found = Self.allCases.first(where: { $0.rawValue == name.lowercased() || $0.runtimeName == name })
        else { return nil }
        self = found
    }

    /// `tensorrt,cuda,cpu`: in the order of preference. What comes behind the first is the declared fallback.
    /// - Throws: `invalidArgument` for an empty list, an unknown name or one that is there twice.
    public static func list(_ text: String) throws(AerieError) -> [ExecutionProvider] {
        var providers: [ExecutionProvider] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let name = String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
            guard let provider = ExecutionProvider(named: name) else {
                let known = allCases.map(\.rawValue).joined(separator: ", ")
                throw .invalid("", "\"\(name)\" is no execution provider; known are \(known), separated by commas")
            }
            guard !providers.contains(provider) else { throw .invalid("", "\(provider.rawValue) is named twice") }
            providers.append(provider)
        }
        return providers
    }
}

/// How a model is loaded, beyond where it lies.
public struct ModelLoadOptions: Hashable, Sendable {
    /// In the order of preference; empty for the processor.
    public var providers: [ExecutionProvider] = []

    public init(providers: [ExecutionProvider] = []) { self.providers = providers }
}

extension ModelFormat {
    /// Formats whose engine is Aerie's own run on the processor.
    public func load(file path: String, options: ModelLoadOptions) throws(AerieError) -> any InferenceModel {
        guard options.providers.isEmpty || options.providers.contains(.cpu) else {
            let asked = options.providers.map(\.rawValue).joined(separator: ",")
            throw AerieError(
                .failedPrecondition,
                "\(path): asks for the execution provider \(asked), and \(flavor) models run on the processor; add cpu "
                    + "as a fallback", reason: "model.provider")
        }
        return try load(file: path)
    }
}

extension ModelLocation {
    /// The same model, to be computed by these; another identity, so that both may be in memory.
    public func computed(by providers: [ExecutionProvider]) -> ModelLocation {
        guard !providers.isEmpty else { return self }
        var location = self
        location.providers = providers
        location.identity += "#" + providers.map(\.rawValue).joined(separator: ",")
        return location
    }
}
