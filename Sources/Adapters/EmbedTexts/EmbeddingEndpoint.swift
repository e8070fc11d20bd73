public import AerieCore

/// Where texts are made vectors of: a server that speaks OpenAI's embeddings API, as its own, Ollama, vLLM, llama.cpp
/// and Hugging Face's text-embeddings-inference do.
public struct EmbeddingEndpoint: Sendable, Equatable {
    /// Without `/embeddings`.
    public let base: String
    public let model: String
    /// Sent as a bearer token; `nil` where nobody asks for one. Never shown.
    public let key: String?
    /// The length that is asked for, of a model that makes vectors of several; `nil` for the model's own.
    public let dimensions: Int?
    /// For a request and its answer, which is tried twice at most.
    public let timeout: Duration

    /// - Parameter url: such as `http://127.0.0.1:11434/v1`.
    /// - Throws: `invalidArgument` for what is no such URL.
    public init(
        url: String, model: String, key: String? = nil, dimensions: Int? = nil, timeout: Duration = .seconds(10)
    ) throws(AerieError) {
        base = try Self.base(url)
        self.model = model
        self.key = key
        self.dimensions = dimensions
        self.timeout = timeout
    }

    /// What `/embeddings` is added to.
    /// - Throws: `invalidArgument` for what is no URL of a server.
    public static func base(_ url: String) throws(AerieError) -> String {
        let scheme = ["http://", "https://"].first { url.hasPrefix($0) }
        let rest = scheme.map { url.dropFirst($0.count) }
        guard let rest, let first = rest.first, first != "/", !rest.contains(where: { "?# @".contains($0) }) else {
            throw .invalid("", "\"\(url.prefix(80))\" is no address such as http://127.0.0.1:11434/v1")
        }
        return url.hasSuffix("/") ? String(url.dropLast()) : url
    }
}
