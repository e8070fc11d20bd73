import AerieJSON
import Features

/// Everything of an answer that does not change from request to request with the same selection: the layout of the read
/// and the fixed parts of the text. Immutable.
final class FeastPlan: Sendable {
    /// The selection as it stood in the request, by which the plan is found.
    let key: [UInt8]
    /// The state of the definitions that it was made of.
    let changeCount: Int
    let layout: OnlineLayout
    /// From the end of the results to the end of the names.
    let names: [UInt8]
    let views: [UInt8]
    /// For each output what stands in where the store cannot be reached.
    let fallbacks: [[UInt8]]

    init(key: [UInt8], changeCount: Int, layout: OnlineLayout) {
        self.key = key
        self.changeCount = changeCount
        self.layout = layout
        let names = layout.keys.map(\.name) + layout.outputs.map(\.name)
        self.names = Array("],\"metadata\":{\"feature_names\":\(JSONValue.array(names.map(JSONValue.string)).text())".utf8)
        views = Array(",\"feature_view_metadata\":\(OnlineAnswerJSON.metadata(layout.viewVersions).text())".utf8)
        fallbacks = layout.outputs.map { $0.fallback.json.utf8() }
    }
}

/// The plans that a loop has used last, found by the bytes of the request. Each has one place; a newcomer takes it.
struct FeastPlans {
    private var places: [FeastPlan?] = Array(repeating: nil, count: 1024)
    /// The key of the present request.
    private(set) var key: [UInt8] = []

    /// Puts the key together, and looks for its plan.
    /// - Returns: `nil` if there is none, or if the definitions have changed since.
    mutating func find(
        _ request: FeastRequest, _ body: UnsafeRawBufferPointer, namespace: UnsafeRawBufferPointer, changeCount: Int
    ) -> FeastPlan? {
        key.removeAll(keepingCapacity: true)
        key.append(request.usesFullNames ? 1 : 0)
        key.append(contentsOf: namespace)
        key.append(0)
        key.append(contentsOf: UnsafeRawBufferPointer(rebasing: body[request.service]))
        key.append(0)
        // A service wins over features, which then make no difference.
        if request.service.isEmpty { key.append(contentsOf: UnsafeRawBufferPointer(rebasing: body[request.features])) }
        guard let plan = places[Self.place(key)], plan.changeCount == changeCount, plan.key == key else { return nil }
        return plan
    }

    mutating func keep(_ plan: FeastPlan) { places[Self.place(plan.key)] = plan }

    /// Eight bytes at a time; plans that meet in one place cost time only.
    private static func place(_ key: [UInt8]) -> Int {
        key.withUnsafeBytes { bytes in
            var hash = UInt64(bytes.count)
            var at = 0
            while at + 8 <= bytes.count {
                hash = (hash ^ bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self)) &* 0x9e37_79b9_7f4a_7c15
                hash ^= hash >> 29
                at += 8
            }
            while at < bytes.count {
                hash = (hash ^ UInt64(bytes[at])) &* 0x9e37_79b9_7f4a_7c15
                at += 1
            }
            return Int(truncatingIfNeeded: (hash ^ hash >> 32) & 1023)
        }
    }
}
