/// The flat form of all trees of a model, checked once and then walked without checks.
///
/// Safety: everything is written in `init` and only read afterwards, so any thread may read at once. The walks use
/// unsafe pointers; `init` has seen that every child lies inside its tree and is reached exactly once, that every
/// feature is below `featureCount`, and that every index into a table fits.
final class TreeEnsemble<Value: TreeValue>: @unchecked Sendable {
    let featureCount: Int
    /// Sums that a row has before the link function: outputs or classes.
    let groupCount: Int
    /// What each sum begins with.
    let start: UnsafeMutablePointer<Value>
    /// Trees in the order of their groups, in file order within a group; `groupEnds[g]` ends group `g`.
    let groupEnds: UnsafeMutablePointer<Int>
    /// An estimate from the trees' depths.
    let nanosecondsPerRow: Double
    /// What explanations need beside the walks: each tree's root and each node's cover.
    let roots: [Int]
    let covers: [Float]
    let hasCovers: Bool

    /// The fast form; `nil` where the model has splits or leaves that need the general walk.
    let fast: FastTrees<Value>?
    let general: GeneralTrees<Value>?

    /// - Parameter walk: for tests, which hold all walks to the same answers; else the fastest.
    init(
        featureCount: Int, start startValues: [Value], trees: [SourceTree<Value>], tables: TreeTables<Value>,
        walk: TreeWalk? = nil
    ) throws(ModelFileError) {
        let groups = startValues.count
        self.featureCount = featureCount
        groupCount = groups

        var order: [Int] = []
        var ends = [Int](repeating: 0, count: groups)
        var byGroup = [[Int]](repeating: [], count: groups)
        for (index, tree) in trees.enumerated() {
            guard tree.group >= 0, tree.group < groups else {
                throw ModelFileError(tree.offset, "tree \(index) belongs to output \(tree.group) of \(groups)")
            }
            byGroup[tree.group].append(index)
        }
        for group in 0..<groups {
            order += byGroup[group]
            ends[group] = order.count
        }

        var layout = TreeLayout<Value>(featureCount: featureCount, tables: tables, groups: groups)
        for index in order { try layout.add(trees[index], number: index) }
        let treeGroups = order.map { trees[$0].group }
        nanosecondsPerRow = layout.nanosecondsPerRow
        roots = layout.roots
        covers = layout.covers
        hasCovers = layout.hasCovers
        fast =
            walk == .general || !layout.allowsFastWalk
            ? nil
            : FastTrees(layout, groups: treeGroups, binned: walk.map { $0 == .binned } ?? layout.isBinnedFaster)
        general = fast == nil ? GeneralTrees(layout) : nil

        start = .allocate(capacity: max(groups, 1))
        start.initialize(from: startValues, count: groups)
        groupEnds = .allocate(capacity: max(groups, 1))
        groupEnds.initialize(from: ends, count: groups)
    }

    deinit {
        start.deallocate()
        groupEnds.deallocate()
    }

    @inline(__always) func trees(of group: Int) -> Range<Int> {
        (group == 0 ? 0 : groupEnds[group - 1])..<groupEnds[group]
    }

    /// Adds up the trees of every row: `count * groupCount` sums, row-major. Allocates nothing.
    @inline(__always)
    func sums(rows: UnsafePointer<Value>, count: Int, into output: UnsafeMutablePointer<Value>) {
        if let fast {
            fast.sums(self, rows: rows, count: count, into: output)
        } else if let general {
            for row in 0..<count {
                general.sums(self, row: rows + row * featureCount, into: output + row * groupCount)
            }
        }
    }
}
