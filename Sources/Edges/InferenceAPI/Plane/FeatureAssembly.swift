import AerieCore
import AerieData
import AerieHTTP
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// The rows of a model whose columns come from a feature service in this process, put together in memory that is used
/// again: nothing is allocated in the steady state. Belongs to one event loop.
///
/// What is rare in a request, or wrong, it leaves to the general way, `FeatureFetch`, which says what is wrong.
final class FeatureAssembly {
    let binding: FeatureBinding
    let lane: any FeatureLane
    private let keys: [(name: [UInt8], entity: [UInt8])]
    private let columns: [[UInt8]]
    /// The columns in the order in which requests are likely to name them: first those that only a request gives.
    private let likely: [Int]
    private let isWide: Bool
    /// `,"parameters":{"feature_service":"scoring","feature_microseconds":`
    private let parametersStart: [UInt8]
    let rows = RowBuffer()
    private var isGiven: [Bool]
    private var keyInputs: [Int]
    private var count = 0
    private var nanoseconds: UInt64 = 0
    /// Cells without a value, and too old; of columns that the request does not give.
    private(set) var missing = 0
    private(set) var stale = 0

    init(_ binding: FeatureBinding, _ lane: any FeatureLane) {
        self.binding = binding
        self.lane = lane
        keys = binding.lookup.keys.map { (Array($0.name.utf8), Array($0.entity.utf8)) }
        columns = binding.columns.map { Array($0.utf8) }
        let given = columns.indices.filter { binding.places[$0] == nil }
        likely = given + columns.indices.filter { binding.places[$0] != nil }
        isWide = binding.rowType == .fp64
        let service = quoted(binding.lookup.service)
        parametersStart = Array(",\"parameters\":{\"feature_service\":\(service),\"feature_microseconds\":".utf8)
        isGiven = columns.map { _ in false }
        keyInputs = keys.map { _ in -1 }
    }

    /// Names the entities and takes what the request gives.
    /// - Returns: the number of rows; `nil` where the general way is to answer.
    func take(
        _ scratch: InferScratch, _ body: UnsafeRawBufferPointer, _ plan: PredictorPlan, within nanoseconds: Double
    ) -> Int? {
        lane.begin()
        for place in keys.indices {
            guard let input = find(keys[place], scratch) else { return nil }
            let numbers = FeatureInput(part: scratch.inputs[input], scratch: scratch, body: body)
            guard numbers.forEachKey({ lane.append($0, key: place) }, { lane.append($0, key: place) }) else {
                return nil
            }
            keyInputs[place] = input
        }
        guard let count = lane.end(), count > 0, plan.isInline(rows: count, within: nanoseconds) else { return nil }
        self.count = count
        rows.clear()
        rows.resize(to: count * columns.count * (isWide ? 8 : 4))
        for column in columns.indices { isGiven[column] = false }
        var next = 0
        for index in scratch.inputs.indices where !keyInputs.contains(index) {
            let part = scratch.inputs[index]
            guard let column = column(part.name, scratch, from: &next), !isGiven[column],
                give(FeatureInput(part: part, scratch: scratch, body: body), column)
            else { return nil }
            isGiven[column] = true
        }
        for column in columns.indices where !isGiven[column] && binding.places[column] == nil { return nil }
        return count
    }

    private func find(_ key: (name: [UInt8], entity: [UInt8]), _ scratch: InferScratch) -> Int? {
        for index in scratch.inputs.indices where scratch.isEqual(scratch.inputs[index].name, key.name) { return index }
        for index in scratch.inputs.indices where scratch.isEqual(scratch.inputs[index].name, key.entity) {
            return index
        }
        return nil
    }

    /// The column of that name.
    /// - Parameter next: where in the likely order it is looked for first; then the place behind it.
    private func column(_ name: Range<Int>, _ scratch: InferScratch, from next: inout Int) -> Int? {
        for _ in likely {
            if next == likely.count { next = 0 }
            let column = likely[next]
            next += 1
            if scratch.isEqual(name, columns[column]) { return column }
        }
        return nil
    }

    private func give(_ input: FeatureInput, _ column: Int) -> Bool {
        isWide ? give(input, column, as: Double.self) : give(input, column, as: Float.self)
    }

    private func give<Scalar: RowScalar>(_ input: FeatureInput, _ column: Int, as _: Scalar.Type) -> Bool {
        let target = rows.base.assumingMemoryBound(to: Scalar.self) + column
        var row = 0
        let isWhole = input.forEachNumber(as: Scalar.self) { value in
            if row < count { target[row * columns.count] = value }
            row += 1
        }
        return isWhole && row == count
    }

    /// Reads, and puts what the store has where the request gives nothing.
    func read() -> (start: UInt64, end: UInt64) {
        let start = monotonicNanoseconds()
        lane.read()
        let end = monotonicNanoseconds()
        nanoseconds = end &- start
        if isWide { fill(as: Double.self) } else { fill(as: Float.self) }
        (missing, stale) = (0, 0)
        let (missingOf, staleOf) = (lane.missing, lane.stale)
        for column in columns.indices where !isGiven[column] {
            guard let place = binding.places[column] else { continue }
            missing += missingOf[place]
            stale += staleOf[place]
        }
        return (start, end)
    }

    private func fill<Scalar: RowScalar>(as _: Scalar.Type) {
        let target = rows.base.assumingMemoryBound(to: Scalar.self)
        for column in columns.indices where !isGiven[column] {
            guard let place = binding.places[column] else { continue }
            for row in 0..<count { target[row * columns.count + column] = Scalar(lane.value(place, row: row)) }
        }
    }

    /// The answer's parameters, as `FeatureReport` names them.
    func writeParameters(to out: inout ByteBuffer) {
        out.writeBytes(parametersStart)
        out.writeDecimal(Int(nanoseconds / 1000))
        out.writeStaticString(",\"features_missing\":")
        out.writeDecimal(missing)
        out.writeStaticString(",\"features_stale\":")
        out.writeDecimal(stale)
        if missing > 0 { writeNames("features_missing_names", lane.missing, to: &out) }
        if stale > 0 { writeNames("features_stale_names", lane.stale, to: &out) }
        if let failure = lane.failure {
            out.writeStaticString(",\"features_failure\":")
            out.writeQuoted(failure.message.utf8)
        }
        out.writeStaticString("}")
    }

    private func writeNames(_ name: StaticString, _ counts: [Int], to out: inout ByteBuffer) {
        var names = ""
        for column in columns.indices where !isGiven[column] {
            guard let place = binding.places[column], counts[place] > 0 else { continue }
            if !names.isEmpty { names += "," }
            names += binding.columns[column]
        }
        out.writeStaticString(",\"")
        out.writeStaticString(name)
        out.writeStaticString("\":")
        out.writeQuoted(names.utf8)
    }
}

extension LoopState {
    /// What puts rows together for a binding on this loop; `nil` where the general way does.
    func assembly(for binding: FeatureBinding) -> FeatureAssembly? {
        // The views of a traced request tell their times one by one.
        guard flow.note == nil, let lanes else { return nil }
        if assembled !== plan {
            assembled = plan
            assemblies.removeAll(keepingCapacity: true)
        }
        for known in assemblies where known.binding === binding { return known.assembly }
        let assembly = lanes.lane(binding.lookup).map { FeatureAssembly(binding, $0) }
        assemblies.append((binding, assembly))
        return assembly
    }

    /// Reads an assembly's features and counts that.
    func read(_ assembly: FeatureAssembly, _ plan: PredictorPlan, _ service: ServiceKind) {
        let (start, end) = assembly.read()
        (flow.timeline.fetchStart, flow.timeline.fetchEnd) = (start, end)
        var code = service.success
        if let failure = assembly.lane.failure {
            code = service.isHTTP ? failure.code.httpStatus : failure.code.grpcStatus
        }
        metrics.recordFeatures(
            slot: plan.served.metricsSlot, service: service, code: code, nanoseconds: end &- start,
            missing: assembly.missing, stale: assembly.stale)
    }
}
