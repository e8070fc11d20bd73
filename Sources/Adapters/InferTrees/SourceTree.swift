/// The ways through a model's trees; all give the same bits.
enum TreeWalk: CaseIterable {
    /// `GeneralTrees`.
    case general
    /// `FastTrees`, one row or eight at a time.
    case single
    /// `FastTrees` with `BinnedTrees` for many rows.
    case binned
}

/// One tree as a file describes it, before anything is checked: both libraries' readers make these.
struct SourceTree<Value: TreeValue> {
    var nodes: [SourceNode<Value>] = []
    /// The weight of the training rows that came by each node; empty where the file does not tell.
    var covers: [Float] = []
    /// The output that the tree adds to.
    var group = 0
    /// The place in the file that errors name.
    var offset = 0
}

/// A split or a leaf. A row goes left where its value is below the threshold.
struct SourceNode<Value: TreeValue> {
    enum Kind: UInt8 {
        case leaf, numeric, categorical
        /// Zero counts as missing (LightGBM's `zero_as_missing`).
        case numericZeroMissing
    }

    /// How a category is looked up.
    enum CategorySet: UInt8 {
        /// Bit `c % 32` of word `c / 32`.
        case bits
        /// Ascending category numbers.
        case sorted
    }

    var kind = Kind.leaf
    var feature: Int32 = 0
    /// The threshold, or a leaf's value.
    var value: Value = 0
    var left: Int32 = 0
    var right: Int32 = 0
    var missingGoesLeft = false
    /// A threshold of infinity that infinity itself stays under: LightGBM's "everything but missing goes left".
    var includesInfinity = false
    /// Where categories that are in the set go.
    var membersGoLeft = false
    /// LightGBM cuts the fraction off before it looks at the sign, so -0.5 is category 0.
    var truncatesNegative = false
    var set = CategorySet.bits
    /// A categorical split's words in `TreeTables.categories`; a leaf's row in its vectors or linear models.
    var first: Int32 = 0
    var count: Int32 = 0
}

/// What nodes refer to by index.
struct TreeTables<Value: TreeValue> {
    var categories: [UInt32] = []
    /// Leaves with one value for each output, `outputs` values each; empty for ordinary leaves.
    var vectors: [Value] = []
    /// Leaves that are linear models; empty for ordinary leaves.
    var linear: [LinearLeaf<Value>] = []
    var linearTerms: [LinearTerm<Value>] = []
}

/// A leaf whose answer is `constant` plus a sum over features; `fallback` where one of them is missing.
struct LinearLeaf<Value: TreeValue> {
    var constant: Value
    var fallback: Value
    var first: Int
    var count: Int
}

struct LinearTerm<Value: TreeValue> {
    var feature: Int
    var coefficient: Value
}

/// The number a model compares in: `Float` for XGBoost, `Double` for LightGBM.
protocol TreeValue: BinaryFloatingPoint, BitwiseCopyable {
    associatedtype Node: PackedNode where Node.Value == Self
}

extension Float: TreeValue { typealias Node = FloatNode }
extension Double: TreeValue { typealias Node = DoubleNode }

/// A node of the fast walk. Children stand side by side, so a step is one comparison and one addition:
/// `next = here + delta + (x < value ? 0 : 1)`.
///
/// A leaf has `delta` -1 and reads a slot that always holds NaN: the comparison is false, the step is 0, and the walk
/// stays where it is. Its `value` is what the tree answers.
protocol PackedNode: BitwiseCopyable {
    associatedtype Value
    var value: Value { get }
    var slot: Int { get }
    var delta: Int { get }
    /// `nil` if the numbers do not fit.
    init?(value: Value, slot: Int, delta: Int)
}

/// 8 bytes: 4,096 slots, half a million nodes between a node and its children.
struct FloatNode: PackedNode {
    let value: Float
    private let packed: Int32

    @inline(__always) var slot: Int { Int(packed & 0xfff) }
    @inline(__always) var delta: Int { Int(packed >> 12) }

    init?(value: Float, slot: Int, delta: Int) {
        guard slot >= 0, slot < 1 << 12, delta >= -1, delta < 1 << 19 else { return nil }
        self.value = value
        packed = Int32(delta) << 12 | Int32(slot)
    }
}

/// 16 bytes.
struct DoubleNode: PackedNode {
    let value: Double
    private let packedSlot: UInt32
    private let packedDelta: Int32

    @inline(__always) var slot: Int { Int(packedSlot) }
    @inline(__always) var delta: Int { Int(packedDelta) }

    init?(value: Double, slot: Int, delta: Int) {
        guard slot >= 0, slot < 1 << 30, delta >= -1, delta < 1 << 30 else { return nil }
        self.value = value
        packedSlot = UInt32(slot)
        packedDelta = Int32(delta)
    }
}
