/// The fast walk: trees whose splits are all numeric, eight at a time, without a branch inside a tree. Many rows go
/// through the trees together where that is faster still (`BinnedTrees`).
///
/// A row is first spread into a buffer of `width` slots: its values as they are (NaN compares false and so goes right),
/// its values again with NaN replaced by -inf (which goes left), and one slot that is always NaN, which leaves read.
/// A node names the slot that fits its default direction, so missing values cost nothing in the walk. The eight walks
/// do not wait for each other: that, not the number of instructions, is what makes it fast.
final class FastTrees<Value: TreeValue> {
    typealias Node = Value.Node
    let nodes: UnsafeMutablePointer<Node>
    private let roots: UnsafeMutablePointer<Int32>
    private let depths: UnsafeMutablePointer<Int32>
    private let chained: ChainedTrees<Value>?
    private let binned: BinnedTrees<Value>?
    private let width: Int
    let spreadsTwice: Bool
    /// The largest value a row may have: the largest finite one where infinity must be below infinite thresholds.
    let ceiling: Value

    /// The slots of one row; `nil` for rows too wide for the buffer on the stack.
    static func width(_ featureCount: Int) -> Int? {
        let width = 2 * featureCount + 1
        return width <= RowBuffer.byteCount / MemoryLayout<Value>.stride && width <= 1 << 12 ? width : nil
    }

    /// `nil` if the trees are too large for the packed nodes.
    /// - Parameters:
    ///   - groups: the output of each tree.
    ///   - binned: whether many rows go through the trees together, if these allow it.
    init?(_ layout: TreeLayout<Value>, groups: [Int], binned: Bool) {
        let features = layout.featureCount
        spreadsTwice = layout.usesDefaultLeft
        ceiling = layout.includesInfinity ? .greatestFiniteMagnitude : .infinity
        width = spreadsTwice ? 2 * features + 1 : features + 1
        let nan = width - 1
        let chained = layout.isUneven ? ChainedTrees(layout, nanSlot: nan, groups: groups) : nil
        self.chained = chained
        var packed: [Node] = []
        packed.reserveCapacity(layout.nodes.count)
        for (index, node) in layout.nodes.enumerated() {
            let slot = node.kind == .leaf ? nan : Int(node.feature) + (node.missingGoesLeft ? features : 0)
            let delta = node.kind == .leaf ? -1 : Int(node.left) - index
            guard let node = Node(value: node.value, slot: slot, delta: delta) else {
                chained?.deallocate()
                return nil
            }
            packed.append(node)
        }
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: max(packed.count, 1))
        nodes.initialize(from: packed, count: packed.count)
        let count = layout.roots.count
        let roots = UnsafeMutablePointer<Int32>.allocate(capacity: max(count, 1))
        let depths = UnsafeMutablePointer<Int32>.allocate(capacity: max(count, 1))
        for tree in 0..<count {
            (roots + tree).initialize(to: Int32(layout.roots[tree]))
            (depths + tree).initialize(to: layout.depths[tree])
        }
        self.nodes = nodes
        self.roots = roots
        self.depths = depths
        self.binned = binned ? BinnedTrees(layout) : nil
    }

    deinit {
        nodes.deallocate()
        roots.deallocate()
        depths.deallocate()
        chained?.deallocate()
        binned?.deallocate()
    }

    @inline(__always)
    func sums(
        _ ensemble: TreeEnsemble<Value>, rows: UnsafePointer<Value>, count: Int,
        into output: UnsafeMutablePointer<Value>
    ) {
        let done = binned?.sums(ensemble, rows: rows, count: count, ceiling: ceiling, into: output) ?? 0
        if done < count {
            walk(
                ensemble, rows: rows + done * ensemble.featureCount, count: count - done,
                into: output + done * ensemble.groupCount)
        }
    }

    @inline(__always)
    private func walk(
        _ ensemble: TreeEnsemble<Value>, rows: UnsafePointer<Value>, count: Int,
        into output: UnsafeMutablePointer<Value>
    ) {
        let bytes = width * MemoryLayout<Value>.stride
        if count < 8 && bytes <= 1024 {
            // Up to 1,024 bytes are taken from the stack, whatever the size.
            withUnsafeTemporaryAllocation(byteCount: bytes, alignment: MemoryLayout<Value>.alignment) { raw in
                let buffer = raw.baseAddress!.assumingMemoryBound(to: Value.self)
                for row in 0..<count {
                    spread(rows + row * ensemble.featureCount, ensemble.featureCount, into: buffer)
                    one(ensemble, row: buffer, into: output + row * ensemble.groupCount)
                }
            }
        } else {
            var scratch = RowBuffer()
            withUnsafeMutableBytes(of: &scratch) { raw in
                let buffer = raw.baseAddress!.assumingMemoryBound(to: Value.self)
                blocks(ensemble, rows: rows, count: count, buffer: buffer, into: output)
            }
        }
    }

    // MARK: One row

    /// Eight trees at a time, added up in the order of the trees.
    @inline(__always)
    private func one(
        _ ensemble: TreeEnsemble<Value>, row: UnsafePointer<Value>, into output: UnsafeMutablePointer<Value>
    ) {
        if let chained {
            let groups = ensemble.groupCount
            for group in 0..<groups { output[group] = ensemble.start[group] }
            chained.add(row: row, to: output, groupCount: groups)
            return
        }
        for group in 0..<ensemble.groupCount {
            let trees = ensemble.trees(of: group)
            var sum = ensemble.start[group]
            var tree = trees.lowerBound
            while tree + 8 <= trees.upperBound {
                var (a, b, c, d) = (root(tree), root(tree + 1), root(tree + 2), root(tree + 3))
                var (e, f, g, h) = (root(tree + 4), root(tree + 5), root(tree + 6), root(tree + 7))
                var steps = depths[tree]
                for next in 1..<8 { steps = max(steps, depths[tree + next]) }
                while steps > 0 {
                    a = step(a, row)
                    b = step(b, row)
                    c = step(c, row)
                    d = step(d, row)
                    e = step(e, row)
                    f = step(f, row)
                    g = step(g, row)
                    h = step(h, row)
                    steps -= 1
                }
                sum = sum + nodes[a].value
                sum = sum + nodes[b].value
                sum = sum + nodes[c].value
                sum = sum + nodes[d].value
                sum = sum + nodes[e].value
                sum = sum + nodes[f].value
                sum = sum + nodes[g].value
                sum = sum + nodes[h].value
                tree += 8
            }
            while tree < trees.upperBound {
                var at = root(tree)
                for _ in 0..<depths[tree] { at = step(at, row) }
                sum = sum + nodes[at].value
                tree += 1
            }
            output[group] = sum
        }
    }

    // MARK: Many rows

    /// Blocks of rows that stay in the first-level cache; within a block tree after tree, eight rows at a time.
    @inline(__always)
    private func blocks(
        _ ensemble: TreeEnsemble<Value>, rows: UnsafePointer<Value>, count: Int, buffer: UnsafeMutablePointer<Value>,
        into output: UnsafeMutablePointer<Value>
    ) {
        let features = ensemble.featureCount
        let groups = ensemble.groupCount
        let fitting = chained != nil ? 0 : min(64, RowBuffer.byteCount / MemoryLayout<Value>.stride / width) & ~7
        var done = 0
        while fitting > 0, done + 8 <= count {
            let block = min(fitting, (count - done) & ~7)
            for row in 0..<block {
                spread(rows + (done + row) * features, features, into: buffer + row * width)
            }
            let sums = output + done * groups
            for group in 0..<groups {
                for row in 0..<block { sums[row * groups + group] = ensemble.start[group] }
                for tree in ensemble.trees(of: group) {
                    walk(tree, rows: block, buffer: buffer, sums: sums + group, stride: groups)
                }
            }
            done += block
        }
        while done < count {
            spread(rows + done * features, features, into: buffer)
            one(ensemble, row: buffer, into: output + done * groups)
            done += 1
        }
    }

    @inline(__always)
    private func walk(
        _ tree: Int, rows: Int, buffer: UnsafePointer<Value>, sums: UnsafeMutablePointer<Value>, stride: Int
    ) {
        let root = root(tree)
        let depth = depths[tree]
        var first = 0
        while first < rows {
            let r0 = buffer + first * width
            let (r1, r2, r3) = (r0 + width, r0 + 2 * width, r0 + 3 * width)
            let (r4, r5, r6, r7) = (r0 + 4 * width, r0 + 5 * width, r0 + 6 * width, r0 + 7 * width)
            var (a, b, c, d, e, f, g, h) = (root, root, root, root, root, root, root, root)
            var steps = depth
            while steps > 0 {
                a = step(a, r0)
                b = step(b, r1)
                c = step(c, r2)
                d = step(d, r3)
                e = step(e, r4)
                f = step(f, r5)
                g = step(g, r6)
                h = step(h, r7)
                steps -= 1
            }
            let out = sums + first * stride
            out[0] = out[0] + nodes[a].value
            out[stride] = out[stride] + nodes[b].value
            out[2 * stride] = out[2 * stride] + nodes[c].value
            out[3 * stride] = out[3 * stride] + nodes[d].value
            out[4 * stride] = out[4 * stride] + nodes[e].value
            out[5 * stride] = out[5 * stride] + nodes[f].value
            out[6 * stride] = out[6 * stride] + nodes[g].value
            out[7 * stride] = out[7 * stride] + nodes[h].value
            first += 8
        }
    }

    // MARK: Inside

    @inline(__always) private func root(_ tree: Int) -> Int { Int(roots[tree]) }

    @inline(__always) private func step(_ at: Int, _ row: UnsafePointer<Value>) -> Int {
        let node = nodes[at]
        return at &+ node.delta &+ (row[node.slot] < node.value ? 0 : 1)
    }

    @inline(__always)
    private func spread(_ row: UnsafePointer<Value>, _ features: Int, into buffer: UnsafeMutablePointer<Value>) {
        for feature in 0..<features {
            let value = row[feature]
            buffer[feature] = value > ceiling ? ceiling : value
        }
        if spreadsTwice {
            let again = buffer + features
            for feature in 0..<features {
                let value = buffer[feature]
                again[feature] = value == value ? value : -.infinity
            }
        }
        buffer[width - 1] = .nan
    }
}

/// 16 KiB on the stack: 64 rows of 31 doubles.
struct RowBuffer {
    static let byteCount = 1 << 14
    private typealias KiB = (
        SIMD64<Float>, SIMD64<Float>, SIMD64<Float>, SIMD64<Float>
    )
    private typealias KiB4 = (KiB, KiB, KiB, KiB)
    private static var zero: SIMD64<Float> { SIMD64(repeating: 0) }
    private static var kib: KiB { (zero, zero, zero, zero) }
    private static var kib4: KiB4 { (kib, kib, kib, kib) }
    private var storage: (KiB4, KiB4, KiB4, KiB4)

    @inline(__always) init() { storage = (Self.kib4, Self.kib4, Self.kib4, Self.kib4) }
}
