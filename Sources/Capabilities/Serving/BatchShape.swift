public import AerieCore
public import AerieData

/// What must be alike in requests that run in one call: the inputs' names, types and all dimensions but the first.
public struct BatchShape: Hashable, Sendable {
    private struct Input: Hashable, Sendable {
        var name: String
        var dataType: DataType
        var dims: ArraySlice<Int>
    }

    private var inputs: [Input]

    /// - Returns: `nil` where the request cannot be part of a larger one: an input without rows, or inputs that differ
    ///   in their number of rows.
    public init?(_ tensors: [Tensor]) {
        guard let rows = tensors.first?.shape.first, rows > 0, tensors.allSatisfy({ $0.shape.first == rows }) else {
            return nil
        }
        inputs = tensors.map { Input(name: $0.name, dataType: $0.dataType, dims: $0.shape.dropFirst()) }
            .sorted { $0.name < $1.name }
    }

    /// For tests, and where the inputs have no names: requests of one width.
    public init(columns: Int) { inputs = [Input(name: "", dataType: .fp32, dims: [columns])] }
}

extension ModelDescription {
    /// Whether the first dimension of every input and output is the number of rows.
    public var isBatchable: Bool {
        !inputs.isEmpty && inputs.allSatisfy { $0.shape.first == -1 } && outputs.allSatisfy { $0.shape.first == -1 }
    }
}

/// Puts the tensors of several requests behind one another, and takes an answer apart again.
public enum TensorRows {
    /// - Precondition: the requests have equal `BatchShape`s.
    public static func join(_ requests: [[Tensor]]) -> [Tensor] {
        guard let first = requests.first else { return [] }
        return first.indices.map { index in
            var tensor = first[index]
            tensor.bytes.reserveCapacity(tensor.bytes.count * requests.count)
            for request in requests.dropFirst() {
                // Inputs go by name; most clients send them in one order.
                let isSame = request[index].name == tensor.name
                guard let other = isSame ? request[index] : request.first(where: { $0.name == tensor.name }) else {
                    continue
                }
                tensor.shape[0] += other.shape[0]
                tensor.bytes += other.bytes
            }
            return tensor
        }
    }

    /// The answers of requests with these numbers of rows.
    /// - Throws: `internal` if an output does not have the rows of all of them.
    public static func split(_ outputs: [Tensor], rows: [Int]) throws(AerieError) -> [[Tensor]] {
        let total = rows.reduce(0, +)
        var answers = [[Tensor]](repeating: [], count: rows.count)
        for output in outputs {
            guard output.shape.first == total, let ends = rowEnds(output, rows: rows) else {
                throw AerieError(
                    .internal, "output \(output.name) has shape \(output.shape) for \(total) rows; it cannot be divided")
            }
            var start = 0
            for (index, end) in ends.enumerated() {
                var part = output
                part.shape[0] = rows[index]
                part.bytes = Array(output.bytes[start..<end])
                answers[index].append(part)
                start = end
            }
        }
        return answers
    }

    /// Where each request's bytes end.
    private static func rowEnds(_ tensor: Tensor, rows: [Int]) -> [Int]? {
        guard let perRow = Tensor.elementCount(of: Array(tensor.shape.dropFirst())) else { return nil }
        var ends: [Int] = []
        if let width = tensor.dataType.byteCount {
            var end = 0
            for count in rows {
                end += count * perRow * width
                ends.append(end)
            }
            return end == tensor.bytes.count ? ends : nil
        }
        var at = 0
        for count in rows {
            for _ in 0..<(count * perRow) {
                guard tensor.bytes.count - at >= 4 else { return nil }
                let length = tensor.bytes.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: at, as: UInt32.self) }
                at += 4 + Int(UInt32(littleEndian: length))
                guard at <= tensor.bytes.count else { return nil }
            }
            ends.append(at)
        }
        return at == tensor.bytes.count ? ends : nil
    }
}
