/// The fast walk for uneven trees (LightGBM's, grown leaf by leaf), where most rows end far above the deepest leaf.
///
/// A leaf leads on to the root of the next tree, so eight walks go through their trees without a branch or a pause, and
/// none waits for the longest path of another's tree. Every step writes the node's value to its tree's place; the
/// leaf's is the last one written there. At the end the places are added up in the order of the trees.
struct ChainedTrees<Value: TreeValue> {
    private struct Node {
        var value: Value
        /// To the left child, or to one before the next root.
        var delta: Int32
        var slot: UInt16
        var place: UInt16
    }

    /// Trees that are walked together; their places and one spare fit 1,024 bytes.
    private static var chunkLimit: Int { 120 }
    private static var places: Int { 128 }
    private static var lanes: Int { 8 }

    private let nodes: UnsafeMutableBufferPointer<Node>
    /// Eight starts for each chunk.
    private let starts: UnsafeMutableBufferPointer<Int>
    private let groups: UnsafeMutableBufferPointer<Int>
    private let chunk: Int
    /// Where walks end: a node that leads to itself.
    private let sink: Int

    /// - Parameter groups: the output of each tree.
    init?(_ layout: TreeLayout<Value>, nanSlot: Int, groups treeGroups: [Int]) {
        let count = layout.roots.count
        guard count > 0, nanSlot <= Int(UInt16.max), layout.nodes.count < 1 << 30 else { return nil }
        let chunks = (count + Self.chunkLimit - 1) / Self.chunkLimit
        chunk = (count + chunks - 1) / chunks
        sink = layout.nodes.count
        var starts: [Int] = []
        var next = [Int](repeating: layout.nodes.count, count: count)
        for first in stride(from: 0, to: count, by: chunk) {
            let trees = min(chunk, count - first)
            for lane in 0..<Self.lanes {
                let (from, to) = (first + lane * trees / Self.lanes, first + (lane + 1) * trees / Self.lanes)
                starts.append(from < to ? layout.roots[from] : layout.nodes.count)
                for tree in from..<max(from, to - 1) { next[tree] = layout.roots[tree + 1] }
            }
        }
        var packed: [Node] = []
        packed.reserveCapacity(layout.nodes.count + 1)
        for tree in 0..<count {
            let end = tree + 1 < count ? layout.roots[tree + 1] : layout.nodes.count
            for index in layout.roots[tree]..<end {
                let node = layout.nodes[index]
                let isLeaf = node.kind == .leaf
                packed.append(
                    Node(
                        value: node.value, delta: Int32(isLeaf ? next[tree] - index - 1 : Int(node.left) - index),
                        slot: UInt16(
                            isLeaf ? nanSlot : Int(node.feature) + (node.missingGoesLeft ? layout.featureCount : 0)),
                        place: UInt16(tree % chunk)))
            }
        }
        packed.append(Node(value: 0, delta: -1, slot: UInt16(nanSlot), place: UInt16(Self.places - 1)))
        nodes = .init(copying: packed)
        self.starts = .init(copying: starts)
        groups = .init(copying: treeGroups)
    }

    func deallocate() {
        nodes.deallocate()
        starts.deallocate()
        groups.deallocate()
    }

    /// Adds every tree's answer for one row, spread into slots, to the sums in `output`.
    @inline(__always)
    func add(row: UnsafePointer<Value>, to output: UnsafeMutablePointer<Value>, groupCount: Int) {
        let bytes = Self.places * MemoryLayout<Value>.stride
        withUnsafeTemporaryAllocation(byteCount: bytes, alignment: MemoryLayout<Value>.alignment) { raw in
            let values = raw.baseAddress.unsafelyUnwrapped.assumingMemoryBound(to: Value.self)
            var first = 0
            var start = starts.baseAddress.unsafelyUnwrapped
            while first < groups.count {
                walk(start, row, values)
                let count = min(chunk, groups.count - first)
                if groupCount == 1 {
                    var sum = output[0]
                    for place in 0..<count { sum = sum + values[place] }
                    output[0] = sum
                } else {
                    let groups = groups.baseAddress.unsafelyUnwrapped + first
                    for place in 0..<count { output[groups[place]] = output[groups[place]] + values[place] }
                }
                first += count
                start += Self.lanes
            }
        }
    }

    @inline(__always)
    private func walk(
        _ start: UnsafePointer<Int>, _ row: UnsafePointer<Value>, _ values: UnsafeMutablePointer<Value>
    ) {
        var (a, b, c, d) = (start[0], start[1], start[2], start[3])
        var (e, f, g, h) = (start[4], start[5], start[6], start[7])
        let sink = sink
        while a != sink || b != sink || c != sink || d != sink || e != sink || f != sink || g != sink || h != sink {
            a = step(a, row, values)
            b = step(b, row, values)
            c = step(c, row, values)
            d = step(d, row, values)
            e = step(e, row, values)
            f = step(f, row, values)
            g = step(g, row, values)
            h = step(h, row, values)
        }
    }

    @inline(__always)
    private func step(_ at: Int, _ row: UnsafePointer<Value>, _ values: UnsafeMutablePointer<Value>) -> Int {
        let node = nodes.baseAddress.unsafelyUnwrapped + at
        let value = node.pointee.value
        values[Int(node.pointee.place)] = value
        return at &+ Int(node.pointee.delta) &+ (row[Int(node.pointee.slot)] < value ? 0 : 1)
    }
}
