/// Finds the known name that a mistyped one was probably meant to be.
public enum NearestName {
    /// The candidate that differs in the fewest letters, if it is near enough to be a slip: at most a third of the
    /// letters, case aside. Cost: the product of the lengths for each candidate; names past 64 letters match nothing.
    public static func of(_ name: String, among candidates: [String]) -> String? {
        let written = Array(name.lowercased().utf8)
        guard !written.isEmpty, written.count <= 64 else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates where candidate.utf8.count <= 64 {
            let known = Array(candidate.lowercased().utf8)
            let limit = max(1, max(written.count, known.count) / 3)
            let distance = distance(written, known)
            if distance <= limit, distance < best?.distance ?? .max { best = (candidate, distance) }
        }
        return best?.name
    }

    /// `did you mean "x"?` for a sentence's end, or the list of what is known if nothing is near and the list is short.
    public static func hint(_ name: String, among candidates: [String]) -> String {
        if let nearest = of(name, among: candidates) { return "; did you mean \"\(nearest)\"?" }
        guard !candidates.isEmpty, candidates.count <= 20 else { return "" }
        return "; known are " + candidates.joined(separator: ", ")
    }

    /// Letters to insert, remove, replace or swap with their neighbour.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast = [Int](repeating: 0, count: b.count + 1)
        var last = Array(0...b.count)
        for i in 0..<a.count {
            var row = [i + 1]
            row.reserveCapacity(b.count + 1)
            for j in 0..<b.count {
                var cost = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { cost = min(cost, beforeLast[j - 1] + 1) }
                row.append(cost)
            }
            (beforeLast, last) = (last, row)
        }
        return last[b.count]
    }
}
