import AerieCore
import Explain

extension SeldonDeploymentController {
    /// A model answers without its explainer: what is wrong there is told to those who ask for explanations.
    func explainer(
        _ predictor: SeldonDeploymentSpec.Predictor, _ model: any InferenceModel
    ) async -> PredictorExplainer {
        guard let settings = predictor.explainer else { return PredictorExplainer(model) }
        do throws(AerieError) {
            guard let uri = settings.background else { return PredictorExplainer(model, settings: settings) }
            let location = try await source.fetch(uri)
            let names = model.description.featureNames
            let rows = try await pool.table(at: location, columns: names, allowsMissing: true)
            return PredictorExplainer(
                model, settings: settings,
                background: Table(columnCount: max(1, rows.columns), values: rows.values),
                backgroundIdentity: location.identity)
        } catch {
            let problem = AerieError(
                .failedPrecondition, "the explainer's background rows cannot be read: \(error.message)",
                reason: "explain.background")
            return PredictorExplainer(model, settings: settings, problem: problem)
        }
    }
}
