public import AerieCore
public import Datasets
public import Pipelines
public import Training

/// The kinds of steps that need nothing but Aerie.
public enum BuiltInSteps {
    /// - Parameters:
    ///   - engine: makes an engine for one step; called in the step's process, and only by steps that need one.
    ///   - trainer: likewise for training.
    public static func all(
        engine: @escaping @Sendable () throws(AerieError) -> any SQLEngine,
        trainer: @escaping @Sendable () throws(AerieError) -> any BoosterTrainer
    ) -> [any Step] {
        [
            IngestStep(engine: engine), ValidateStep(engine: engine), FeaturesStep(engine: engine),
            TrainStep(engine: engine, trainer: trainer), EvaluateStep(engine: engine, trainer: trainer),
            RegisterStep(), ApproveStep(), DeployStep(),
        ]
    }
}
