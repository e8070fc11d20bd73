import AerieCore
import EmbedTexts

/// Which model makes vectors of the texts that rows are searched with, and where it answers.
struct EmbeddingSettings: Sendable, Equatable {
    /// Where the key to the model is read at the start; it is written in no setting itself.
    enum KeyPlace: Sendable, Equatable {
        case variable(String)
        case file(String)

        /// `env:NAME` or `file:PATH`.
        init(_ text: String) throws(AerieError) {
            if text.hasPrefix("env:"), text.count > 4 {
                self = .variable(String(text.dropFirst(4)))
            } else if text.hasPrefix("file:"), text.count > 5, !text.utf8.contains(0) {
                self = .file(String(text.dropFirst(5)))
            } else {
                // What stands here may be a key.
                throw .invalid("", "does not say where the key stands; write env:OPENAI_API_KEY or file:/run/secrets/key")
            }
        }
    }

    /// `nil` where texts are not made vectors of.
    var url: String?
    var model: String?
    var key: KeyPlace?
    /// `nil` for the model's own.
    var dimensions: Int?
    /// For a request, in milliseconds.
    var timeout = 10_000

    /// What the settings have wrong together, with the one to mend; `nil` if nothing.
    func conflict() -> (Configuration.Setting, String)? {
        if url != nil, model == nil { return (.embeddingURL, "needs the name of a model; set embedding-model") }
        if url == nil, model != nil {
            return (.embeddingModel, "needs the address of its server; set embedding-url, such as http://127.0.0.1:11434/v1")
        }
        return nil
    }
}
