public import AerieCore
import Dispatch
public import Explain

extension ServingService {
    /// One at a time: whoever looks at explanations can wait, and models go on answering.
    private static let explanations = DispatchQueue(label: "aerie.explanations", qos: .utility)

    /// Explains rows by a deployment's predictor, for people who look at it: the data plane has its own way.
    /// - Parameter predictor: by name; `nil` for the deployment's first.
    /// - Throws: `notFound` for a deployment or predictor that does not answer; what `PredictorExplainer` throws.
    public func explain(
        deployment name: String, predictor: String? = nil, _ message: GraphMessage, interactions: Bool = false
    ) async throws(AerieError) -> Explanation {
        guard let deployment = current().deployments.first(where: { $0.name == name }) else {
            throw .notFound("no deployment named \(name) answers")
        }
        let all = deployment.predictors
        guard let chosen = predictor == nil ? all.first : all.first(where: { $0.name == predictor }) else {
            throw .notFound(
                "\(name) has no predictor \(predictor ?? ""), only \(all.map(\.name).joined(separator: ", "))")
        }
        return try await Self.explain(by: chosen.explainer, message, interactions: interactions)
    }

    private static func explain(
        by explainer: PredictorExplainer, _ message: GraphMessage, interactions: Bool
    ) async throws(AerieError) -> Explanation {
        let result: Result<Explanation, AerieError> = await withCheckedContinuation { continuation in
            explanations.async {
                continuation.resume(
                    returning: Result { () throws(AerieError) in
                        try explainer.explain(message, interactions: interactions, interest: Interest())
                    })
            }
        }
        return try result.get()
    }
}
