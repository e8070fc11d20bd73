import AerieCore
import AerieData
public import AerieJSON

/// A request and its answer as messages: what is kept of graphs, and of payloads that are more than rows of numbers.
public struct PredictionExchange: Sendable {
    /// As the client sent it, where features were read for it; `nil` where the model was given just that.
    public var asked: GraphMessage?
    /// What the graph or the model was given.
    public var given: GraphMessage
    /// Its answer; the meta tells the puid, the routing and the nodes that were asked.
    public var answer: GraphMessage

    public init(asked: GraphMessage? = nil, given: GraphMessage, answer: GraphMessage) {
        self.asked = asked
        self.given = given
        self.answer = answer
    }

    /// What the messages hold in memory, about.
    public var byteCount: Int {
        given.payload.byteCount + answer.payload.byteCount + (asked?.payload.byteCount ?? 0)
    }

    /// One row of a request, as it is kept.
    public struct Row: Sendable {
        /// What the client sent, where `features` does not say it: entities whose features were read, texts, bytes.
        public var request: JSONValue?
        public var features: [(name: String, value: Double)]
        /// The row's numbers of the first output. An answer that has not one row for each of the request's is kept
        /// whole, with the first of them.
        public var outputs: [Double]
        /// An answer that is no numbers.
        public var answer: JSONValue?
    }

    /// Every row. Takes as long as there are numbers: never on an event loop.
    public func rows(of predictor: ServedPredictor) -> [Row] {
        let numbers = inputs(of: predictor)
        let texts = asked?.jsonRows ?? (numbers == nil ? given.jsonRows : [])
        let count = numbers?.rows ?? texts.count
        let (outputs, answers) = answered(count)
        let known = predictor.model.description.featureNames
        let width = numbers?.columns ?? 0
        let own = numbers?.names ?? []
        let names = own.count == width ? own : known.count == width ? known : (0..<width).map { "f\($0)" }
        return (0..<count).map { row in
            Row(
                request: texts.indices.contains(row) ? texts[row] : nil,
                features: (0..<width).map { (name: names[$0], value: numbers?[row, $0] ?? .nan) },
                outputs: outputs.indices.contains(row) ? outputs[row] : [],
                answer: answers.indices.contains(row) ? answers[row] : nil)
        }
    }

    /// The rows that were given, if they are numbers: of a single model in its own columns.
    private func inputs(of predictor: ServedPredictor) -> NumberRows? {
        var message = given
        if predictor.graph == nil, let tensors = try? predictor.inputs(of: given) {
            message = GraphMessage(.tensors(tensors))
        }
        let width = (predictor.tabular?.featureCount ?? predictor.model.description.inputs.first?.shape.last)
        guard let rows = try? NumberRows(message, width: width), !rows.values.isEmpty else { return nil }
        return rows
    }

    /// The answer's numbers row by row, or what it says in their place.
    private func answered(_ count: Int) -> (outputs: [[Double]], answers: [JSONValue]) {
        var first = answer
        if case .tensors(let tensors) = answer.payload, let output = tensors.first {
            first.payload = .tensors([output])
            first.names = []
        }
        if case .text = answer.payload { return ([], answer.jsonRows) }
        guard let numbers = try? NumberRows(first) else { return ([], first.jsonRows) }
        guard numbers.rows == count else { return ([numbers.values], []) }
        let width = numbers.columns
        return ((0..<count).map { Array(numbers.values[($0 * width)..<(($0 + 1) * width)]) }, [])
    }
}

extension GraphMessage.Payload {
    var byteCount: Int {
        switch self {
        case .tensors(let tensors): tensors.reduce(0) { $0 + $1.bytes.count }
        case .text(let text): text.utf8.count
        case .bytes(let bytes): bytes.count
        case .json(let value): value.text().utf8.count
        case .opaque(_, let value): value.count
        }
    }
}
