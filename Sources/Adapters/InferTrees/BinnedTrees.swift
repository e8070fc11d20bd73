import CTreeSplits

/// The walk for many rows: 64 rows go through all the splits of a tree together, and nothing depends on a row's path.
///
/// Only the order of a value among the thresholds of its column decides a split, so a row is first turned into bytes:
/// how many of the column's thresholds are not above the value. A split then is one comparison of 64 bytes, and the
/// leaf a row falls into is chosen from the leaves upward, each split taking the one or the other of what its two sides
/// have chosen: 14 instructions a split for 64 rows with vectors of 256 bits, where a walk takes five a step for each
/// row. The bytes are what training by histograms makes of its rows; XGBoost and LightGBM have at most 256 bins a
/// column if they are not told otherwise.
///
/// The work memory of a block: 64 bytes for each slot of the rows, as in `FastTrees` (a missing value is the smallest
/// byte in the slots of splits that send it left, the largest in the others); 64 times its number for each leaf; and
/// what splits have chosen. The side that needs more of the last is chosen first, so a tree of 256 leaves needs eight.
struct BinnedTrees<Value: TreeValue> {
    private struct Tree {
        var firstSplit: Int32
        var splits: Int32
        var firstLeaf: Int32
        /// Where the leaves' numbers are in the end.
        var result: Int32
    }

    private struct Column {
        var first: Int32
        /// The thresholds' count is filled up with NaN to one less than two to this.
        var width: Int32
        /// The slots to be filled, or -1.
        var slot: Int32
        var leftSlot: Int32
    }

    static var rows: Int { 64 }
    /// Fewer rows are walked one by one.
    static var fewestRows: Int { 40 }

    private let splits: UnsafeMutableBufferPointer<ctree_split>
    private let trees: UnsafeMutableBufferPointer<Tree>
    private let leaves: UnsafeMutableBufferPointer<Value>
    private let columns: UnsafeMutableBufferPointer<Column>
    private let thresholds: UnsafeMutableBufferPointer<Value>
    private let firstLeafNumber: Int
    private let mostLeaves: Int

    func deallocate() {
        splits.deallocate()
        trees.deallocate()
        leaves.deallocate()
        columns.deallocate()
        thresholds.deallocate()
    }

    /// `nil` if a column has more than 255 thresholds, a tree more than 256 leaves, or the work memory is too small.
    init?(_ layout: TreeLayout<Value>) {
        var plan = Plan()
        guard plan.number(layout) else { return nil }
        splits = .init(copying: plan.splits)
        trees = .init(copying: plan.trees)
        leaves = .init(copying: plan.leaves)
        columns = .init(copying: plan.columns)
        thresholds = .init(copying: plan.thresholds)
        firstLeafNumber = plan.slots * Self.rows
        mostLeaves = plan.mostLeaves
    }

    // MARK: Rows

    /// Sums of as many rows as fill blocks well; how many these are.
    @inline(__always)
    func sums(
        _ ensemble: TreeEnsemble<Value>, rows: UnsafePointer<Value>, count: Int, ceiling: Value,
        into output: UnsafeMutablePointer<Value>
    ) -> Int {
        guard count >= Self.fewestRows else { return 0 }
        var memory = RowBuffer()
        return withUnsafeMutableBytes(of: &memory) { raw in
            let work = raw.baseAddress.unsafelyUnwrapped.alignedUp(toMultipleOf: Self.rows)
            for leaf in 0..<mostLeaves {
                let number = SIMD8(repeating: UInt64(leaf) &* 0x0101_0101_0101_0101)
                work.storeBytes(
                    of: number, toByteOffset: firstLeafNumber + leaf * Self.rows, as: SIMD8<UInt64>.self)
            }
            var done = 0
            while count - done >= Self.fewestRows {
                let block = min(Self.rows, count - done)
                bin(rows + done * ensemble.featureCount, block, ensemble.featureCount, ceiling, into: work)
                add(ensemble, block, work, into: output + done * ensemble.groupCount)
                done += block
            }
            return done
        }
    }

    @inline(__always)
    private func bin(
        _ rows: UnsafePointer<Value>, _ count: Int, _ features: Int, _ ceiling: Value,
        into work: UnsafeMutableRawPointer
    ) {
        for feature in 0..<columns.count {
            let column = columns[feature]
            let thresholds = thresholds.baseAddress.unsafelyUnwrapped + Int(column.first)
            for row in 0..<count {
                let value = rows[row * features + feature]
                let bounded = value > ceiling ? ceiling : value
                let below = Self.below(bounded, thresholds, column.width)
                let isMissing = value.isNaN
                if column.slot >= 0 {
                    let byte = Int8(truncatingIfNeeded: (isMissing ? 255 : below) &- 128)
                    work.storeBytes(of: byte, toByteOffset: Int(column.slot) &+ row, as: Int8.self)
                }
                if column.leftSlot >= 0 {
                    let byte = Int8(truncatingIfNeeded: below &- 128)
                    work.storeBytes(of: byte, toByteOffset: Int(column.leftSlot) &+ row, as: Int8.self)
                }
            }
        }
    }

    /// How many of fewer than 2^`width` thresholds are not above a value. The answers of comparisons are added up, as
    /// a branch would be foretold wrongly every other time; the steps are written out, so that each is a constant.
    @inline(__always)
    private static func below(_ value: Value, _ thresholds: UnsafePointer<Value>, _ width: Int32) -> Int {
        var below = 0
        @inline(__always) func halve(_ shift: Int) {
            let isBelow = thresholds[below &+ (1 &<< shift) &- 1] <= value
            below &+= Int(unsafeBitCast(isBelow, to: UInt8.self)) &<< shift
        }
        if width > 7 { halve(7) }
        if width > 6 { halve(6) }
        if width > 5 { halve(5) }
        if width > 4 { halve(4) }
        if width > 3 { halve(3) }
        if width > 2 { halve(2) }
        if width > 1 { halve(1) }
        if width > 0 { halve(0) }
        return below
    }

    @inline(__always)
    private func add(
        _ ensemble: TreeEnsemble<Value>, _ count: Int, _ work: UnsafeMutableRawPointer,
        into sums: UnsafeMutablePointer<Value>
    ) {
        let groups = ensemble.groupCount
        for group in 0..<groups {
            for row in 0..<count { sums[row * groups + group] = ensemble.start[group] }
            for index in ensemble.trees(of: group) {
                let tree = trees[index]
                ctree_choose(splits.baseAddress.unsafelyUnwrapped + Int(tree.firstSplit), Int(tree.splits), work)
                let values = leaves.baseAddress.unsafelyUnwrapped + Int(tree.firstLeaf)
                let chosen = (work + Int(tree.result)).assumingMemoryBound(to: UInt8.self)
                var sum = sums + group
                for row in 0..<count {
                    sum.pointee = sum.pointee + values[Int(chosen[row])]
                    sum += groups
                }
            }
        }
    }
}

// MARK: Laying out

extension BinnedTrees {
    /// The parts of the layout while they grow.
    private struct Plan {
        var splits: [ctree_split] = []
        var trees: [Tree] = []
        var leaves: [Value] = []
        var columns: [Column] = []
        var thresholds: [Value] = []
        var slots = 0
        var mostLeaves = 1
        private var places: [[Value]] = []

        /// Whether the trees fit.
        mutating func number(_ layout: TreeLayout<Value>) -> Bool {
            places = [[Value]](repeating: [], count: layout.featureCount)
            var right = [Bool](repeating: false, count: layout.featureCount)
            var left = right
            for node in layout.nodes where node.kind != .leaf {
                let feature = Int(node.feature)
                places[feature].append(node.value)
                if node.missingGoesLeft { left[feature] = true } else { right[feature] = true }
            }
            for feature in 0..<layout.featureCount {
                places[feature].sort()
                var distinct: [Value] = []
                for value in places[feature] where distinct.last != value { distinct.append(value) }
                guard distinct.count <= 255 else { return false }
                places[feature] = distinct
                let width = Int.bitWidth - distinct.count.leadingZeroBitCount
                let size = 1 << width
                var column = Column(first: Int32(thresholds.count), width: Int32(width), slot: -1, leftSlot: -1)
                if right[feature] { column.slot = slot() }
                if left[feature] { column.leftSlot = slot() }
                columns.append(column)
                thresholds += distinct + repeatElement(.nan, count: size - 1 - distinct.count)
            }
            mostLeaves = layout.mostLeaves
            // Leaves' numbers and eight results beside the slots, and what the alignment takes.
            guard mostLeaves <= 256, (slots + mostLeaves + 9) * BinnedTrees.rows <= RowBuffer.byteCount else {
                return false
            }
            for root in layout.roots { add(root, layout) }
            return true
        }

        private mutating func slot() -> Int32 {
            slots += 1
            return Int32((slots - 1) * BinnedTrees.rows)
        }

        private mutating func add(_ root: Int, _ layout: TreeLayout<Value>) {
            let (firstSplit, firstLeaf) = (splits.count, leaves.count)
            let result = choose(root, layout, firstLeaf: firstLeaf, taken: 0)
            trees.append(
                Tree(
                    firstSplit: Int32(firstSplit), splits: Int32(splits.count - firstSplit),
                    firstLeaf: Int32(firstLeaf), result: Int32(result)))
        }

        /// Where the choice of the subtree at `node` is, when `taken` results are in use.
        private mutating func choose(_ at: Int, _ layout: TreeLayout<Value>, firstLeaf: Int, taken: Int) -> Int {
            let node = layout.nodes[at]
            if node.kind == .leaf {
                leaves.append(node.value)
                return (slots + leaves.count - 1 - firstLeaf) * BinnedTrees.rows
            }
            let column = columns[Int(node.feature)]
            let result = (slots + mostLeaves + taken) * BinnedTrees.rows
            var sides = [Int(node.left), Int(node.right)]
            let rightFirst = results(sides[1], layout) > results(sides[0], layout)
            if rightFirst { sides.swapAt(0, 1) }
            let first = choose(sides[0], layout, firstLeaf: firstLeaf, taken: taken)
            let isLeaf = layout.nodes[sides[0]].kind == .leaf
            let second = choose(sides[1], layout, firstLeaf: firstLeaf, taken: isLeaf ? taken : taken + 1)
            let place = places[Int(node.feature)].firstIndex(of: node.value)!
            splits.append(
                ctree_split(
                    values: UInt16(node.missingGoesLeft ? column.leftSlot : column.slot),
                    left: UInt16(rightFirst ? second : first), right: UInt16(rightFirst ? first : second),
                    result: UInt16(result), bound: Int8(place - 127)))
            return result
        }

        /// The results that a subtree needs at once.
        private func results(_ at: Int, _ layout: TreeLayout<Value>) -> Int {
            let node = layout.nodes[at]
            if node.kind == .leaf { return 0 }
            let (left, right) = (results(Int(node.left), layout), results(Int(node.right), layout))
            return left == right ? left + 1 : max(left, right)
        }
    }
}
