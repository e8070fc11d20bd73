public import AerieCore
public import Serving

/// Graph optimization levels, by ONNX Runtime's meaning.
public enum OptimizationLevel: String, Sendable, CaseIterable {
    /// Constants folded, what is of no use taken out.
    case basic
    /// Nodes put together, of the processor's own kinds.
    case extended
    /// The layout of the data too; fitting to this machine's processor.
    case all
}

/// Loads what is to be measured, and optimizes graphs.
///
/// Contract: blocking; called from a thread of its own.
public protocol OptimizationEngine: Sendable {
    /// The model as it would be served natively; `nil` for a kind that is not.
    func native(_ path: String, kind: String) throws(AerieError) -> (any InferenceModel)?
    /// A graph as it is, without optimization at load.
    func graph(_ path: String) throws(AerieError) -> any InferenceModel
    func optimize(_ path: String, _ level: OptimizationLevel, to output: String) throws(AerieError)
}
