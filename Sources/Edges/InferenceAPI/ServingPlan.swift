import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import Serving

/// A serving table with everything worked out that does not change from request to request: names as bytes, the fixed
/// parts of answers. Made once for each table and shared by all loops; immutable.
final class ServingPlan: Sendable {
    let table: ServingTable
    let deployments: [DeploymentPlan]

    /// - Parameter previous: the plan before, whose parts are used again for what has not changed.
    init(_ table: ServingTable, previous: ServingPlan? = nil, ledger: ExecutionLedger = ExecutionLedger()) {
        self.table = table
        var known: [ObjectIdentifier: DeploymentPlan] = [:]
        for plan in previous?.deployments ?? [] { known[ObjectIdentifier(plan.served)] = plan }
        deployments = table.deployments.map {
            known[ObjectIdentifier($0)] ?? DeploymentPlan($0, ledger: ledger)
        }
    }

    /// The only deployment, if there is exactly one.
    var only: DeploymentPlan? { deployments.count == 1 ? deployments[0] : nil }

    /// No allocation. Linear for the few that a process serves at once, with the length compared first.
    func deployment(named name: UnsafeRawBufferPointer) -> DeploymentPlan? {
        if deployments.count <= 8 {
            for deployment in deployments where deployment.isNamed(name) { return deployment }
            return nil
        }
        return table.index(named: name).map { deployments[$0] }
    }
}

final class DeploymentPlan: Sendable {
    let served: ServedDeployment
    let name: [UInt8]
    let namespace: [UInt8]
    let predictors: [PredictorPlan]

    init(_ served: ServedDeployment, ledger: ExecutionLedger = ExecutionLedger()) {
        self.served = served
        name = Array(served.name.utf8)
        namespace = Array(served.namespace.utf8)
        predictors = served.predictors.enumerated().map { PredictorPlan($1, index: $0, of: served, ledger: ledger) }
    }

    func isNamed(_ other: UnsafeRawBufferPointer) -> Bool { name.withUnsafeBytes { equals($0, other) } }

    /// The predictor for a request, by weight.
    func pick(_ random: UInt64) -> PredictorPlan {
        if predictors.count == 1 { return predictors[0] }
        let chosen = served.pick(random)
        for predictor in predictors where predictor.served === chosen { return predictor }
        return predictors[0]
    }

    /// The predictor that serves this model version, for paths that name one.
    func predictor(version: UnsafeRawBufferPointer) -> PredictorPlan? {
        for predictor in predictors where predictor.versionBytes.elementsEqual(version) { return predictor }
        return nil
    }
}

final class PredictorPlan: Sendable {
    let served: ServedPredictor
    let model: any Serving.InferenceModel
    let tabular: (any TabularModel)?
    /// Set where the columns of a row come from the feature store, not from the request alone.
    let features: FeatureBinding?
    /// The deployment, if shadows of it want copies of requests.
    let shadowed: ServedDeployment?
    let deploymentName: String
    let deploymentNamespace: String
    /// Of 2^32 requests so many are logged.
    let logTickets: UInt64
    let index: Int
    /// Whether requests and answers, or those of a graph's nodes, are copied for somebody.
    let isTapped: Bool
    let inputs: [TensorSpec]
    let outputs: [TensorSpec]
    let outputNames: [[UInt8]]
    let featureNames: [[UInt8]]
    let featureCount: Int
    let outputCount: Int
    let rowType: DataType
    let versionBytes: [UInt8]
    let nanosecondsPerRow: Double
    /// What a row's numbers take; 0 where that differs from row to row.
    let bytesPerRow: Int
    /// Puts requests together, where the deployment asks for it and the model gains from it: trees do not.
    let batcher: ModelBatcher?
    let cachesAnswers: Bool
    let executions: ExecutionStatistics
    /// `{"model_name":"fraud","model_version":"3"`
    let jsonStart: [UInt8]
    /// `{"name":"predict","datatype":"FP32","shape":[` for each output.
    let jsonOutputStarts: [[UInt8]]
    /// What Seldon's answer says about routing and path, and its columns' names.
    let seldonMeta: [UInt8]
    let seldonNames: [UInt8]

    init(
        _ served: ServedPredictor, index: Int, of deployment: ServedDeployment,
        ledger: ExecutionLedger = ExecutionLedger()
    ) {
        self.served = served
        self.index = index
        isTapped = served.logger != nil || served.graph?.logsNodes == true
        model = served.model
        tabular = served.tabular
        features = served.features
        shadowed = deployment.shadows.isEmpty ? nil : deployment
        deploymentName = deployment.name
        deploymentNamespace = deployment.namespace
        logTickets = UInt64((min(max(served.policy.logShare, 0), 1) * 4_294_967_296).rounded())
        let description = served.model.description
        inputs = description.inputs
        outputs = description.outputs
        outputNames = outputs.map { Array($0.name.utf8) }
        featureNames = description.featureNames.map { Array($0.utf8) }
        featureCount = served.tabular?.featureCount ?? 0
        outputCount = served.tabular?.outputCount ?? 0
        rowType = served.tabular?.rowType ?? .fp32
        versionBytes = Array(served.modelVersion.utf8)
        nanosecondsPerRow = description.nanosecondsPerRow
        let sizes = inputs.map { $0.shape.dropFirst().reduce($0.dataType.byteCount ?? 0) { $1 < 0 ? 0 : $0 &* $1 } }
        bytesPerRow = sizes.contains { $0 <= 0 } ? 0 : sizes.reduce(0, &+)
        let executions = ledger.statistics(slot: served.metricsSlot)
        self.executions = executions
        cachesAnswers = served.policy.cachesResponses
        batcher =
            served.tabular == nil && description.isBatchable
            ? served.policy.batching.map { ModelBatcher($0, model: served.model, statistics: executions) } : nil
        jsonStart = Array(
            "{\"model_name\":\(quoted(deployment.name)),\"model_version\":\(quoted(served.modelVersion))".utf8)
        jsonOutputStarts = outputs.map {
            Array("{\"name\":\(quoted($0.name)),\"datatype\":\"\($0.dataType.rawValue)\",\"shape\":[".utf8)
        }
        let routing = "\"routing\":{\(quoted(deployment.name)):\(index)}"
        let path = "\"requestPath\":{\(quoted(served.modelName)):\(quoted(served.modelURI))}"
        seldonMeta = Array("\(routing),\(path)}".utf8)
        let columns = max(1, outputCount)
        seldonNames = Array("[\((0..<columns).map { "\"t:\($0)\"" }.joined(separator: ","))]".utf8)
    }

    /// Whether Seldon's rows of numbers are answered without looking at anything else.
    var takesPlainRows: Bool { tabular != nil && features == nil && shadowed == nil }

    /// The element type into which a request's numbers are read at once; `nil` where its inputs are kept as they are.
    var directType: DataType? { tabular == nil || features != nil ? nil : rowType }

    /// True if `predict` alone answers: the model is tabular and has one output of numbers.
    var isFast: Bool { tabular != nil && outputs.count == 1 && (outputs[0].dataType.byteCount ?? 0) > 0 }

    /// Whether that many rows are predicted at once, on the loop and in its own memory.
    func isInline(rows: Int, within nanoseconds: Double) -> Bool {
        isFast && !cachesAnswers && (nanosecondsPerRow * Double(rows) <= nanoseconds || rows == 0)
    }

    /// Refuses rows whose answer would take more memory than any client means.
    func checkRows(_ count: Int) throws(AerieError) {
        let (numbers, overflow) = count.multipliedReportingOverflow(by: max(1, outputCount))
        guard !overflow, numbers <= Self.maximumAnswer else {
            throw AerieError(
                .resourceExhausted,
                "\(count) rows of \(outputCount) outputs are more than the \(Self.maximumAnswer) numbers of one answer")
        }
    }

    private static let maximumAnswer = 1 << 24

    func outputIndex(_ name: Range<Int>, in scratch: InferScratch) -> Int? {
        for index in outputNames.indices where scratch.isEqual(name, outputNames[index]) { return index }
        return nil
    }
}

/// The string in quotes, escaped.
func quoted(_ string: String) -> String {
    var out = ""
    JSONValue.quote(string, to: &out)
    return out
}
