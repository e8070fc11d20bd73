/// The walk that knows every kind of split and leaf: categories, zero as missing, vectors and linear models in leaves.
final class GeneralTrees<Value: TreeValue> {
    let nodes: UnsafeMutableBufferPointer<SourceNode<Value>>
    private let roots: UnsafeMutableBufferPointer<Int>
    private let categories: UnsafeMutableBufferPointer<UInt32>
    let vectors: UnsafeMutableBufferPointer<Value>
    let linear: UnsafeMutableBufferPointer<LinearLeaf<Value>>
    private let terms: UnsafeMutableBufferPointer<LinearTerm<Value>>

    init(_ layout: TreeLayout<Value>) {
        nodes = .init(copying: layout.nodes)
        roots = .init(copying: layout.roots)
        categories = .init(copying: layout.tables.categories)
        vectors = .init(copying: layout.tables.vectors)
        linear = .init(copying: layout.tables.linear)
        terms = .init(copying: layout.tables.linearTerms)
    }

    deinit {
        nodes.deallocate()
        roots.deallocate()
        categories.deallocate()
        vectors.deallocate()
        linear.deallocate()
        terms.deallocate()
    }

    @inline(__always)
    func sums(_ ensemble: TreeEnsemble<Value>, row: UnsafePointer<Value>, into output: UnsafeMutablePointer<Value>) {
        let groups = ensemble.groupCount
        for group in 0..<groups { output[group] = ensemble.start[group] }
        for group in 0..<groups {
            for tree in ensemble.trees(of: group) {
                let leaf = leaf(roots.baseAddress.unsafelyUnwrapped[tree], row)
                if !vectors.isEmpty {
                    let vector = vectors.baseAddress.unsafelyUnwrapped + Int(leaf.first) * groups
                    for output_ in 0..<groups { output[output_] = output[output_] + vector[output_] }
                } else if !linear.isEmpty {
                    output[group] = output[group] + answer(of: linear[Int(leaf.first)], row)
                } else {
                    output[group] = output[group] + leaf.value
                }
            }
        }
    }

    @inline(__always)
    private func leaf(_ root: Int, _ row: UnsafePointer<Value>) -> SourceNode<Value> {
        let nodes = nodes.baseAddress.unsafelyUnwrapped
        var at = root
        while nodes[at].kind != .leaf {
            let node = nodes + at
            at = Int(goesLeft(node, row[Int(node.pointee.feature)]) ? node.pointee.left : node.pointee.right)
        }
        return nodes[at]
    }

    @inline(__always)
    func goesLeft(_ node: UnsafePointer<SourceNode<Value>>, _ value: Value) -> Bool {
        if value.isNaN { return node.pointee.missingGoesLeft }
        switch node.pointee.kind {
        case .numericZeroMissing:
            if value.magnitude <= Value(lightGBMZero) { return node.pointee.missingGoesLeft }
            return value < node.pointee.value || node.pointee.includesInfinity
        case .categorical:
            return isMember(node, value) == node.pointee.membersGoLeft
        case .numeric, .leaf:
            return value < node.pointee.value || node.pointee.includesInfinity
        }
    }

    @inline(__always)
    private func isMember(_ node: UnsafePointer<SourceNode<Value>>, _ value: Value) -> Bool {
        let isNumber = node.pointee.truncatesNegative ? value > -1 : value >= 0
        guard isNumber, value < 2_147_483_648 else { return false }
        let category = UInt32(value < 0 ? 0 : value)
        let count = Int(node.pointee.count)
        guard count > 0 else { return false }
        let words = categories.baseAddress.unsafelyUnwrapped + Int(node.pointee.first)
        switch node.pointee.set {
        case .bits:
            let word = Int(category >> 5)
            return word < count && words[word] >> (category & 31) & 1 == 1
        case .sorted:
            var low = 0
            var high = count
            while low < high {
                let middle = (low + high) / 2
                if words[middle] < category { low = middle + 1 } else { high = middle }
            }
            return low < count && words[low] == category
        }
    }

    private func answer(of leaf: LinearLeaf<Value>, _ row: UnsafePointer<Value>) -> Value {
        var sum = leaf.constant
        for index in leaf.first..<(leaf.first + leaf.count) {
            let term = terms[index]
            let value = row[term.feature]
            if value.isNaN { return leaf.fallback }
            sum += term.coefficient * (value.magnitude <= Value(lightGBMZero) ? 0 : value)
        }
        return sum
    }
}

/// LightGBM takes everything up to this for zero: 1e-35, rounded to a float.
let lightGBMZero = Double(Float(1e-35))
