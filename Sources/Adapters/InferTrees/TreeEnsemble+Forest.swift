import AerieCore
import Explain

/// What explanations ask of a model's trees, in the flat order that both walks use.
extension TreeEnsemble {
    /// - Parameter divisor: of every leaf's value.
    func forest(divisor: Double = 1) throws(AerieError) -> Forest {
        if let general, !general.linear.isEmpty {
            throw AerieError(
                .unsupported, "the model's leaves are linear models, which have no tree explanation; use KernelShap",
                reason: "explain.linear")
        }
        let vectors = general.map { !$0.vectors.isEmpty } ?? false
        var nodes: [Forest.Node] = []
        nodes.reserveCapacity(covers.count)
        var values: [Double] = []
        if vectors, let general { values = general.vectors.map { Double($0) / divisor } }
        for index in covers.indices {
            let (feature, next, value) = describe(index)
            var node = Forest.Node(feature: feature, next: next, cover: covers[index])
            if feature < 0, !vectors {
                node.next = Int32(values.count)
                values.append(Double(value) / divisor)
            }
            nodes.append(node)
        }
        var trees: [Forest.Tree] = []
        for group in 0..<groupCount {
            for tree in self.trees(of: group) {
                trees.append(Forest.Tree(root: Int32(roots[tree]), output: vectors ? -1 : Int32(group)))
            }
        }
        return Forest(
            featureCount: featureCount, outputCount: groupCount,
            start: (0..<groupCount).map { Double(start[$0]) }, trees: trees, nodes: nodes, values: values,
            hasCovers: hasCovers)
    }

    /// A split's column and left child, or -1, the place of a leaf's first value among the vectors, and its value.
    private func describe(_ index: Int) -> (feature: Int32, next: Int32, value: Value) {
        if let fast {
            let node = fast.nodes[index]
            if node.delta < 0 { return (-1, 0, node.value) }
            let slot = node.slot
            let isSecond = fast.spreadsTwice && slot >= featureCount
            return (Int32(isSecond ? slot - featureCount : slot), Int32(index + node.delta), node.value)
        }
        guard let node = general?.nodes[index] else { return (-1, 0, 0) }
        if node.kind == .leaf { return (-1, node.first &* Int32(clamping: groupCount), node.value) }
        return (node.feature, node.left, node.value)
    }

    /// Whether a row goes left, for every node. The row is read in the model's own precision.
    func decide(_ row: UnsafeBufferPointer<Double>, into decisions: UnsafeMutableBufferPointer<UInt8>) {
        if let fast {
            for index in covers.indices {
                let node = fast.nodes[index]
                if node.delta < 0 {
                    decisions[index] = 0
                    continue
                }
                let isSecond = fast.spreadsTwice && node.slot >= featureCount
                let value = Value(row[isSecond ? node.slot - featureCount : node.slot])
                decisions[index] = (value.isNaN ? isSecond : min(value, fast.ceiling) < node.value) ? 1 : 0
            }
        } else if let general, let nodes = general.nodes.baseAddress {
            for index in covers.indices {
                let node = nodes + index
                if node.pointee.kind == .leaf {
                    decisions[index] = 0
                } else {
                    decisions[index] = general.goesLeft(node, Value(row[Int(node.pointee.feature)])) ? 1 : 0
                }
            }
        }
    }
}

extension XGBoostModel: DecisionTrees {
    func forest() throws(AerieError) -> Forest { try ensemble.forest() }

    func decide(_ row: UnsafeBufferPointer<Double>, into decisions: UnsafeMutableBufferPointer<UInt8>) {
        ensemble.decide(row, into: decisions)
    }
}

extension LightGBMModel: DecisionTrees {
    func forest() throws(AerieError) -> Forest { try ensemble.forest(divisor: divisor) }

    func decide(_ row: UnsafeBufferPointer<Double>, into decisions: UnsafeMutableBufferPointer<UInt8>) {
        ensemble.decide(row, into: decisions)
    }
}
