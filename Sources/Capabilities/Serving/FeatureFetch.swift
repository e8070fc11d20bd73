public import AerieCore
public import AerieData

/// One request to a model with a feature service: the entities that it names, and the columns that it brings along,
/// which take the place of what the store has.
public struct FeatureFetch: Sendable {
    public let binding: FeatureBinding
    public var rows: EntityRows
    /// For each column of the model the request's own values.
    private let given: [Tensor?]

    /// - Parameter inputs: a tensor of `rows` elements for each join key, and for each column that the request gives.
    /// - Returns: `nil` for a request that names no entity and so brings everything along itself.
    /// - Throws: `invalidArgument` for a key that is missing, an input that is neither key nor column, a column that
    ///   nobody has, or lengths that differ.
    public init?(_ binding: FeatureBinding, _ inputs: [Tensor]) throws(AerieError) {
        let lookup = binding.lookup
        let keys = lookup.keys.map { key in
            inputs.firstIndex { $0.name == key.name } ?? inputs.firstIndex { $0.name == key.entity }
        }
        if keys.allSatisfy({ $0 == nil }) { return nil }
        var columns: [EntityRows.Column] = []
        var count: Int?
        for (key, place) in zip(lookup.keys, keys) {
            guard let place else {
                throw .invalid(
                    "inputs", "there is no input for the join key \(key.name) of feature service \(lookup.service)")
            }
            let column = try Self.keys(inputs[place], at: place)
            columns.append(column.values)
            if let count, count != column.count { throw Self.lengths(place, column.count, count) }
            count = column.count
        }
        let total = count ?? 0
        let (cells, overflow) = total.multipliedReportingOverflow(by: binding.columns.count)
        guard !overflow, cells <= RowMatrix.maximumByteCount / 8 else {
            throw AerieError(.resourceExhausted, "inputs: \(total) rows are too many for one request")
        }
        var request: [EntityRows.Column] = []
        for name in lookup.requestColumns {
            guard let place = inputs.firstIndex(where: { $0.name == name }) else {
                throw .invalid(
                    "inputs", "there is no input \(name), of which feature service \(lookup.service) computes features")
            }
            let column = try Self.requestColumn(inputs[place], at: place)
            if column.count != total { throw Self.lengths(place, column.count, total) }
            request.append(column.values)
        }
        var given = [Tensor?](repeating: nil, count: binding.columns.count)
        for (place, input) in inputs.enumerated() where !keys.contains(place) {
            guard let column = binding.columns.firstIndex(of: input.name) else {
                if lookup.requestColumns.contains(input.name) { continue }
                throw .invalid(
                    "inputs[\(place)].name",
                    "\(input.name) is neither a join key of \(lookup.service) nor a column of the model")
            }
            let elements = input.shape.reduce(1, &*)
            guard elements == total else { throw Self.lengths(place, elements, total) }
            guard given[column] == nil else { throw .invalid("inputs[\(place)].name", "\(input.name) is given twice") }
            given[column] = input
        }
        for (column, name) in binding.columns.enumerated() where given[column] == nil && binding.places[column] == nil {
            throw .invalid(
                "inputs", "the model's column \(name) is no feature of \(lookup.service); send it with the request")
        }
        self.binding = binding
        self.given = given
        rows = EntityRows(count: total, keys: columns, request: request)
    }

    private static func lengths(_ place: Int, _ count: Int, _ rows: Int) -> AerieError {
        .invalid("inputs[\(place)].shape", "has \(count) elements, but the first key has \(rows) rows")
    }

    /// The rows as the model takes them.
    public func rows(_ fetched: FetchedFeatures) throws(AerieError) -> Tensor {
        var matrix = RowMatrix(initialByteCount: 64)
        try matrix.reserve(rows: rows.count, columns: binding.columns.count, type: binding.rowType)
        for column in binding.columns.indices {
            if let tensor = given[column] {
                let problem = tensor.bytes.withUnsafeBytes { bytes -> AerieError? in
                    do throws(AerieError) {
                        try matrix.copy(
                            from: bytes, type: tensor.dataType, start: column, stride: binding.columns.count)
                        return nil
                    } catch { return error }
                }
                if let problem { throw .invalid("inputs.\(tensor.name)", problem.message) }
            } else if let place = binding.places[column] {
                for (row, value) in fetched.columns[place].enumerated() {
                    matrix.set(row: row, column: column, value)
                }
            }
        }
        let size = matrix.elementCount * (binding.rowType == .fp64 ? 8 : 4)
        return Tensor(
            name: binding.inputName, dataType: binding.rowType, shape: [rows.count, binding.columns.count],
            bytes: Array(UnsafeRawBufferPointer(start: matrix.pointer, count: size)))
    }

    /// What to tell of a read.
    /// - Parameter failure: why defaults stand in for everything; `nil` after a read that came back.
    public func report(_ fetched: FetchedFeatures, failure: String?, nanoseconds: UInt64) -> FeatureReport {
        var report = FeatureReport(service: binding.lookup.service, failure: failure, nanoseconds: nanoseconds)
        for (column, place) in binding.places.enumerated() where given[column] == nil {
            guard let place else { continue }
            if fetched.missing[place] > 0 {
                report.missing += fetched.missing[place]
                report.missingNames.append(binding.columns[column])
            }
            if fetched.stale[place] > 0 {
                report.stale += fetched.stale[place]
                report.staleNames.append(binding.columns[column])
            }
        }
        return report
    }

    // MARK: Keys

    private static func keys(
        _ tensor: Tensor, at place: Int
    ) throws(AerieError) -> (values: EntityRows.Column, count: Int) {
        if tensor.dataType == .bytes {
            let texts = try texts(tensor, at: place)
            return (.texts(texts), texts.count)
        }
        let numbers: [Int64]
        switch tensor.dataType {
        case .int64: numbers = tensor.elements(as: Int64.self)
        case .int32: numbers = tensor.elements(as: Int32.self).map(Int64.init)
        case .int16: numbers = tensor.elements(as: Int16.self).map(Int64.init)
        case .int8: numbers = tensor.elements(as: Int8.self).map(Int64.init)
        case .uint8: numbers = tensor.elements(as: UInt8.self).map(Int64.init)
        case .uint16: numbers = tensor.elements(as: UInt16.self).map(Int64.init)
        case .uint32: numbers = tensor.elements(as: UInt32.self).map(Int64.init)
        case .uint64:
            let all = tensor.elements(as: UInt64.self)
            numbers = all.compactMap { Int64(exactly: $0) }
            guard numbers.count == all.count else {
                throw .invalid("inputs[\(place)].data", "a key is greater than \(Int64.max)")
            }
        default:
            throw .invalid(
                "inputs[\(place)].datatype",
                "\(tensor.dataType.rawValue) cannot name an entity; send INT64 or BYTES")
        }
        return (.integers(numbers), numbers.count)
    }

    private static func requestColumn(
        _ tensor: Tensor, at place: Int
    ) throws(AerieError) -> (values: EntityRows.Column, count: Int) {
        switch tensor.dataType {
        case .fp64:
            let numbers = tensor.elements(as: Double.self)
            return (.numbers(numbers), numbers.count)
        case .fp32:
            let numbers = tensor.elements(as: Float.self).map(Double.init)
            return (.numbers(numbers), numbers.count)
        case .bool:
            let flags = tensor.elements(as: UInt8.self).map { Int64($0 == 0 ? 0 : 1) }
            return (.integers(flags), flags.count)
        default: return try keys(tensor, at: place)
        }
    }

    private static func texts(_ tensor: Tensor, at place: Int) throws(AerieError) -> [String] {
        var texts: [String] = []
        var at = 0
        let bytes = tensor.bytes
        while at < bytes.count {
            guard bytes.count - at >= 4 else { throw .invalid("inputs[\(place)].data", "the last text is cut short") }
            let length = bytes.withUnsafeBytes {
                Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: at, as: UInt32.self)))
            }
            at += 4
            guard length <= bytes.count - at, let text = String(validating: bytes[at..<(at + length)], as: UTF8.self)
            else { throw .invalid("inputs[\(place)].data", "element \(texts.count) is no UTF-8 text") }
            texts.append(text)
            at += length
        }
        return texts
    }
}

/// What a request's answer tells of its features.
public struct FeatureReport: Sendable, Hashable {
    public var service: String
    /// Why defaults stand in for everything; `nil` after a read that came back.
    public var failure: String?
    /// Cells without a value, and the columns they are in.
    public var missing = 0
    public var missingNames: [String] = []
    /// Cells whose value was too old, and the columns they are in.
    public var stale = 0
    public var staleNames: [String] = []
    /// How long the read took.
    public var nanoseconds: UInt64

    init(service: String, failure: String?, nanoseconds: UInt64) {
        self.service = service
        self.failure = failure
        self.nanoseconds = nanoseconds
    }

    /// As parameters of an Open Inference Protocol answer.
    public var parameters: [(name: String, value: FeatureReport.Value)] {
        var all: [(name: String, value: Value)] = [
            ("feature_service", .text(service)), ("feature_microseconds", .number(Int64(nanoseconds / 1000))),
            ("features_missing", .number(Int64(missing))), ("features_stale", .number(Int64(stale))),
        ]
        if !missingNames.isEmpty { all.append(("features_missing_names", .text(missingNames.joined(separator: ",")))) }
        if !staleNames.isEmpty { all.append(("features_stale_names", .text(staleNames.joined(separator: ",")))) }
        if let failure { all.append(("features_failure", .text(failure))) }
        return all
    }

    public enum Value: Sendable, Hashable {
        case text(String)
        case number(Int64)
    }
}
