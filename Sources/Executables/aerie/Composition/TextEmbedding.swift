import AerieCore
import EmbedTexts
import Foundation

/// The model that makes vectors of texts, if one is configured.
enum TextEmbedding {
    /// - Throws: `invalidArgument` if its key is not where the settings say.
    static func make(_ settings: EmbeddingSettings) throws(AerieError) -> HTTPTextEmbedder? {
        guard let url = settings.url, let model = settings.model else { return nil }
        return HTTPTextEmbedder(
            try EmbeddingEndpoint(
                url: url, model: model, key: try key(settings.key), dimensions: settings.dimensions,
                timeout: .milliseconds(settings.timeout)))
    }

    private static func key(_ place: EmbeddingSettings.KeyPlace?) throws(AerieError) -> String? {
        let text: String
        switch place {
        case nil: return nil
        case .variable(let name):
            guard let value = ProcessInfo.processInfo.environment[name] else {
                throw .invalid("--embedding-key", "the environment has no variable \(name.visible)")
            }
            text = value
        case .file(let path):
            guard let value = try? String(contentsOfFile: path, encoding: .utf8) else {
                throw .invalid("--embedding-key", "there is no file \(path.visible) with text in it")
            }
            text = value
        }
        let key = text.trimmingCharacters(in: .whitespacesAndNewlines)
        guard !key.isEmpty, key.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
            throw .invalid("--embedding-key", "what stands there is no key: one word in ASCII")
        }
        return key
    }
}
