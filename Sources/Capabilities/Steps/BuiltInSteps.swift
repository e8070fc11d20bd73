public import AerieCore
public import Datasets
public import Pipelines
public import Training

/// The kinds of steps that need nothing but Aerie.
public enum BuiltInSteps {
    /// - Parameters:
    ///   - engine: makes an engine for one step; called in the step's process, and only by steps that need one.
    ///   - trainer: likewise for training.
    ///   - features: where features come from; asked in the server, by steps that run there.
    public static func all(
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine,
        trainer: @escaping @Sendable () throws(AerieError) -> any BoosterTrainer,
        features: @escaping @Sendable () -> HistoricalStep.Source? = { nil }
    ) -> [any Step] {
        [
            IngestStep(engine: engine), ValidateStep(engine: engine), FeaturesStep(engine: engine),
            TrainStep(engine: engine, trainer: trainer), EvaluateStep(engine: engine, trainer: trainer),
            HistoricalStep(source: features), RegisterStep(), ApproveStep(), DeployStep(),
        ]
    }
}
