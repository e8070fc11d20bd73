import AerieData

/// Which shapes a message may give its numbers. They come from outside, and are answered as lists in lists.
enum MessageShape {
    /// Lists in lists are made by functions in functions.
    private static let maximumRank = 32
    /// Lists that a shape without any numbers in it may still mean, as `[65536, 0]` does.
    private static let maximumEmptyLists = 1 << 16

    /// The numbers that the shape needs; `nil` if it is none, or one that nobody means.
    static func elementCount(_ shape: [Int]) -> Int? {
        guard shape.count <= maximumRank, let count = Tensor.elementCount(of: shape) else { return nil }
        if count > 0 { return count }
        var lists = 1
        for dimension in shape where dimension > 0 {
            let (product, overflow) = lists.multipliedReportingOverflow(by: dimension)
            guard !overflow, product <= maximumEmptyLists else { return nil }
            lists = product
        }
        return 0
    }
}
