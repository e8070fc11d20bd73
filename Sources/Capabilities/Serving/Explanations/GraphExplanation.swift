import AerieCore
import AerieData
import AerieTelemetry
import Explain

/// A graph as explanations ask it: rows of numbers in, the graph's whole answer out, on the way that the explained
/// request itself went. Asks are neither counted nor learned from.
struct GraphRowModel: RowModel {
    let featureCount: Int
    let outputCount: Int
    let featureNames: [String]
    private let graph: GraphModel
    private let way: [String: Int]

    /// - Throws: `unsupported` for a graph of something else than rows of numbers; what its nodes throw.
    init(_ graph: GraphModel, way: [String: Int]) throws(AerieError) {
        self.graph = graph
        self.way = way
        featureNames = graph.description.featureNames
        let free = graph.description.inputs.first?.shape.dropFirst().last ?? -1
        let width = featureNames.isEmpty ? free : featureNames.count
        guard width > 0, graph.description.inputs.count == 1 else {
            throw AerieError(
                .unsupported, "the graph's first model takes no rows of numbers, and explanations are of those",
                reason: "explain.input")
        }
        featureCount = width
        let row = Table(columnCount: width, values: [Double](repeating: 0, count: width))
        outputCount = max(1, try Self.ask(graph, row, featureNames, way).count)
    }

    func predict(_ rows: Table) throws(AerieError) -> [Double] { try Self.ask(graph, rows, featureNames, way) }

    private static func ask(
        _ graph: GraphModel, _ rows: Table, _ names: [String], _ way: [String: Int]
    ) throws(AerieError) -> [Double] {
        let given = NumberRows(rows: rows.rowCount, columns: rows.columnCount, values: rows.values, names: names)
        let answer = try graph.ask(given.message(replacing: GraphMessage(.tensors([]))), way: way)
        guard case .tensors(let tensors) = answer.payload, let first = tensors.first else {
            throw AerieError(.unsupported, "the graph gives no numbers to explain", reason: "explain.output")
        }
        return try first.numbers()
    }
}

/// The one tree model of a way through a graph, and the transformers before it, which change each column by itself: so
/// a column's contribution is that of what is made of it.
struct GraphTrees {
    let model: any InferenceModel
    let trees: any DecisionTrees
    private let transformers: [any GraphTransformer]

    /// `nil` where the way has another node: several models, a combiner, a change of the answer.
    init?(_ graph: GraphModel, way: [String: Int]) {
        var node = graph.root
        var transformers: [any GraphTransformer] = []
        while true {
            switch node.unit {
            case .input(let transformer): transformers.append(transformer)
            case .router:
                guard let place = way[node.name], node.children.indices.contains(place) else { return nil }
                node = node.children[place]
                continue
            case .model(let model, _):
                guard node.children.isEmpty, let trees = model.decisionTrees else { return nil }
                (self.model, self.trees, self.transformers) = (model, trees, transformers)
                return
            case .fixed, .combiner, .output: return nil
            }
            guard let child = node.children.first else { return nil }
            node = child
        }
    }

    /// Rows as the trees see them.
    func transformed(_ rows: Table, names: [String]) throws(AerieError) -> Table {
        let given = NumberRows(rows: rows.rowCount, columns: rows.columnCount, values: rows.values, names: names)
        var message = given.message(replacing: GraphMessage(.tensors([])))
        for transformer in transformers { try transformer.transform(&message) }
        let made = try ModelInputs.ordered(try NumberRows(message), model.description.featureNames)
        guard made.columns == rows.columnCount else {
            throw AerieError(
                .unsupported, "the graph's transformers make \(made.columns) columns of \(rows.columnCount); use "
                    + "KernelShap or LIME", reason: "explain.graph")
        }
        return Table(columnCount: made.columns, values: made.values)
    }
}

extension InferenceModel {
    /// The model's trees, if it is made of any.
    var decisionTrees: (any DecisionTrees)? { (self as? any DecisionTrees) ?? (self as? NamedTabularModel)?.trees }
}

extension GraphModel {
    /// Answers without being counted, and without a trace in what routers know.
    /// - Parameter way: the child of each router, as an answer's routing tells it; a router that is not in it chooses.
    func ask(_ message: GraphMessage, way: [String: Int]) throws(AerieError) -> GraphMessage {
        try GraphRun(metrics: nil, service: .infer, deadline: 0, trail: nil, way: way).run(root, message)
    }
}
