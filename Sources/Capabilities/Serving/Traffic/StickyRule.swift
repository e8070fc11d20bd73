/// By what requests of one user or entity stay with one predictor: the value of a header field, or of a column.
///
/// A predictor is chosen by hashing the value, so no state is kept, every process chooses alike, and where shares
/// change, only as many values move as have to. A request without the value is shared out at random.
public struct StickyRule: Hashable, Sendable {
    /// In lower case, as HTTP/2 writes it.
    public var header: String?
    /// An input of the Open Inference Protocol, or a name of Seldon's `data.names`; the first row's value counts.
    public var column: String?

    public init(header: String? = nil, column: String? = nil) {
        self.header = header
        self.column = column
    }
}

extension ServedDeployment {
    /// The predictor that a key belongs to. No allocation.
    public func pick(key: some Sequence<UInt8>) -> ServedPredictor {
        if predictors.count == 1 { return predictors[0] }
        var best = predictors[0]
        var highest = -1.0
        for predictor in predictors {
            let hash = RendezvousHash.hash(key, predictor.name.utf8)
            let score = RendezvousHash.score(hash, weight: Double(predictor.weight))
            if score > highest {
                highest = score
                best = predictor
            }
        }
        return best
    }
}

/// How a deployment asks for traffic to be led, in annotations of the object or the spec.
enum TrafficSetting: String, CaseIterable {
    case stickyHeader = "aerie.dev/sticky-header"
    case stickyColumn = "aerie.dev/sticky-column"

    /// What is wrong with the setting's value; `nil` if nothing is.
    func problem(_ value: String) -> String? {
        switch self {
        case .stickyHeader:
            let isToken = !value.isEmpty && value.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) || $0 == 0x2d
                    || $0 == 0x5f
            }
            return isToken ? nil : "\"\(value)\" is no name of a header field"
        case .stickyColumn: return value.isEmpty ? "is empty; write the name of an input or a column" : nil
        }
    }
}
