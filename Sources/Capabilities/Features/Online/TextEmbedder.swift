public import AerieCore

/// Makes vectors of texts, by the model that made the vectors of the rows that are searched with them.
///
/// Contract: one vector for each text, in their order, all of one length, of finite numbers. A call ends within the
/// embedder's time limit and when its task is cancelled. Safe to call from any task.
public protocol TextEmbedder: Sendable {
    /// The model's name, for those who read of it in an error.
    var model: String { get }

    /// - Parameter texts: any number of them; each of at most `FeatureStore.embeddedTextLimit` bytes.
    /// - Throws: `invalidArgument` for texts that the model does not take; `failedPrecondition` where the model or the
    ///   key to it is not as configured; `unavailable` and `deadlineExceeded`, which asking again may mend.
    func vectors(of texts: [String]) async throws(AerieError) -> [[Double]]
}

extension FeatureStore {
    /// Bytes of a text that is made a vector of.
    public static let embeddedTextLimit = 64 << 10

    /// The vector of a text, to search a view's rows with.
    /// - Throws: `failedPrecondition` where no model is configured (`embedding.missing`), or its vectors have another
    ///   length than the view's; `invalidArgument` for a text that is empty or too long, and a view without vectors;
    ///   what `TextEmbedder` throws.
    public func vector(of text: String, in view: FeatureCatalog.View) async throws(AerieError) -> [Double] {
        let index = try view.vectorIndex().index
        guard let embedder else {
            throw AerieError(
                .failedPrecondition,
                "a text is searched for by its vector, and no model is configured that makes it: start aerie up with "
                    + "--embedding-url and --embedding-model, or send the vector itself to /search",
                reason: "embedding.missing")
        }
        guard (1...Self.embeddedTextLimit).contains(text.utf8.count) else {
            throw .invalid("query", "has \(text.utf8.count) bytes; from 1 to \(Self.embeddedTextLimit) are searched for")
        }
        let vectors = try await embedder.vectors(of: [text])
        guard let vector = vectors.first, vectors.count == 1 else {
            throw AerieError(.internal, "\(vectors.count) vectors were made of one text")
        }
        if let length = index.length, vector.count != length {
            throw AerieError(
                .failedPrecondition,
                "the vectors of the model '\(embedder.model)' have \(vector.count) numbers and those of feature view "
                    + "'\(view.definition.name)' have \(length): set --embedding-model to the model that made these, and "
                    + "--embedding-dimensions to \(length) if it has several lengths")
        }
        return vector
    }
}
