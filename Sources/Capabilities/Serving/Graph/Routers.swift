import AerieCore
import AerieData
import AerieJSON
import Synchronization

/// Seldon's SIMPLE_ROUTER: always the first child.
struct FirstChildRouter: GraphRouter {
    func route(_ message: GraphMessage, children: Int) throws(AerieError) -> RouteChoice { RouteChoice(child: 0) }
}

/// Seldon's RANDOM_ABTEST: the first of two children with probability `ratioA`.
final class RandomABTest: GraphRouter {
    let ratioA: Double
    private let generator: Mutex<SplitMix>

    init(ratioA: Double, seed: UInt64?) {
        self.ratioA = ratioA
        generator = Mutex(SplitMix(seed: seed))
    }

    func route(_ message: GraphMessage, children: Int) throws(AerieError) -> RouteChoice {
        RouteChoice(child: generator.withLock { $0.unit() } < ratioA ? 0 : 1)
    }
}

/// The child that a column's value always leads to: what belongs to one entity stays with one child.
struct HashRouter: GraphRouter {
    let column: String

    func route(_ message: GraphMessage, children: Int) throws(AerieError) -> RouteChoice {
        guard let key = message.text(ofColumn: column) else {
            throw .invalid("data", "has no column \(column), by which the router chooses")
        }
        let shares = (0..<children).map { (name: "\($0)", weight: 1.0) }
        return RouteChoice(child: RendezvousHash.choose(key.utf8, among: shares))
    }
}

extension GraphMessage {
    /// The first row's value of a column, as text; `nil` if the payload has no such column.
    public func text(ofColumn name: String) -> String? {
        switch payload {
        case .tensors(let tensors):
            if let tensor = tensors.first(where: { $0.name == name }) { return Self.text(tensor, at: 0) }
            guard tensors.count == 1, let column = names.firstIndex(of: name) else { return nil }
            return Self.text(tensors[0], at: column)
        case .json(let value):
            let row = value[0]?.array != nil || value[0]?.object != nil ? value[0] : value
            let cell = row?.object != nil ? row?[name] : names.firstIndex(of: name).flatMap { row?[$0] }
            return cell.map { $0.string ?? $0.int.map { String($0) } ?? $0.text() }
        default: return nil
        }
    }

    private static func text(_ tensor: Tensor, at place: Int) -> String? {
        if tensor.dataType == .bytes {
            guard let elements = tensor.byteElements, elements.indices.contains(place) else { return nil }
            return String(decoding: elements[place], as: UTF8.self)
        }
        guard let numbers = try? tensor.numbers(), numbers.indices.contains(place) else { return nil }
        return Int64(exactly: numbers[place]).map { String($0) } ?? String(numbers[place])
    }
}
