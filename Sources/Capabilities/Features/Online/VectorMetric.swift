/// How far two vectors are from each other: the smaller the number, the nearer. The distances are those of pgvector, as
/// Feast's clients expect them.
public enum VectorMetric: String, Sendable, Hashable, CaseIterable {
    /// The square root of the sum of the squared differences.
    case l2 = "L2"
    /// 1 less the cosine of the angle between them: from 0 to 2. A vector of zeros has no direction, and is 1 from all.
    case cosine
    /// The negative of the sum of the products.
    case innerProduct = "inner_product"
    /// The sum of the absolute differences.
    case l1 = "L1"

    /// Accepts any case, and the names that Feast's online stores have for the same.
    public init?(name: String) {
        switch name.lowercased() {
        case "l2", "l2_norm", "euclid", "euclidean": self = .l2
        case "cosine": self = .cosine
        case "inner_product", "ip", "dot", "dot_product": self = .innerProduct
        case "l1", "manhattan": self = .l1
        default: return nil
        }
    }

    static let names = allCases.map(\.rawValue)
}

/// A vector that many others are compared with.
///
/// A comparison reads each number once (twice for the cosine), eight at a time in 32 bits, and allocates nothing.
struct ComparedVector: Sendable {
    private typealias Lanes = SIMD8<Float>

    let count: Int
    private let metric: VectorMetric
    /// The numbers, with zeros up to a multiple of eight.
    private let blocks: [Lanes]
    private let norm: Float

    init(_ numbers: [Float], metric: VectorMetric) {
        count = numbers.count
        self.metric = metric
        blocks = stride(from: 0, to: numbers.count, by: Lanes.scalarCount).map { start in
            var block = Lanes()
            for (lane, number) in numbers[start...].prefix(Lanes.scalarCount).enumerated() { block[lane] = number }
            return block
        }
        norm = blocks.reduce(into: Float(0)) { $0 += ($1 * $1).sum() }.squareRoot()
    }

    /// - Parameter other: `count` numbers, each of four bytes, little-endian; at any address.
    func distance(to other: UnsafeRawBufferPointer) -> Float {
        switch metric {
        case .l2: sum(other) { ($0 - $1) * ($0 - $1) }.squareRoot()
        case .l1: sum(other) { ($0 - $1).replacing(with: $1 - $0, where: $0 .< $1) }
        case .innerProduct: -sum(other) { $0 * $1 }
        case .cosine: cosineDistance(to: other)
        }
    }

    private func cosineDistance(to other: UnsafeRawBufferPointer) -> Float {
        let scale = norm * sum(other) { $1 * $1 }.squareRoot()
        // Rounding must not take a vector farther than opposite, or nearer than equal.
        return scale == 0 ? 1 : min(max(1 - sum(other) { $0 * $1 } / scale, 0), 2)
    }

    /// The sum of what `term` says of each pair of numbers; of two zeros it must say zero.
    @inline(__always)
    private func sum(_ other: UnsafeRawBufferPointer, _ term: (Lanes, Lanes) -> Lanes) -> Float {
        let width = MemoryLayout<Lanes>.size
        let whole = count / Lanes.scalarCount
        var total = Lanes()
        for place in 0..<whole {
            total += term(blocks[place], other.loadUnaligned(fromByteOffset: place * width, as: Lanes.self))
        }
        if whole < blocks.count {
            var rest = Lanes()
            for lane in 0..<(count - whole * Lanes.scalarCount) {
                rest[lane] = other.loadUnaligned(
                    fromByteOffset: whole * width + lane * MemoryLayout<Float>.size, as: Float.self)
            }
            total += term(blocks[whole], rest)
        }
        return total.sum()
    }
}
