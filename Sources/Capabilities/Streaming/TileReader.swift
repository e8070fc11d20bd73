/// Reads aggregates over the tiles of a span of time, of one ring or of several that hold different events.
struct TileReader {
    private let plan: WindowPlan.Resolution
    private let parts: [(ring: TileRing, tiles: Range<Int>)]

    /// - Parameters:
    ///   - first: the index of the first tile.
    ///   - last: the index of the last, included.
    init(_ rings: [TileRing], _ first: Int64, _ last: Int64, _ plan: WindowPlan.Resolution) {
        self.plan = plan
        parts = rings.map { ring in
            func index(_ tile: Int) -> Int64 { Int64(ring.numbers[tile * plan.stride]) }
            var end = ring.numbers.count / plan.stride
            while end > 0, index(end - 1) > last { end -= 1 }
            var start = end
            while start > 0, index(start - 1) >= first { start -= 1 }
            return (ring, start..<end)
        }
    }

    func value(_ reading: WindowPlan.Reading) -> StreamValue {
        switch reading {
        case .count(let at), .sum(let at): return .number(total(at))
        case .mean(let sum, let count):
            let events = total(count)
            return events > 0 ? .number(total(sum) / events) : .null
        case .minimum(let at): return fold(at, Double.minimum)
        case .maximum(let at): return fold(at, Double.maximum)
        case .deviation(let at): return deviation(at)
        case .last(let at):
            var latest = TileRing.Last()
            for (ring, tiles) in parts {
                for tile in tiles {
                    let candidate = ring.lasts[tile * plan.lasts.count + at]
                    if candidate.time != .min { latest.take(candidate.time, candidate.arrival, candidate.value) }
                }
            }
            return latest.value
        case .distinct(let at):
            let sets = parts.flatMap { ring, tiles in tiles.map { ring.sets[$0 * plan.sets.count + at] } }
            if sets.count == 1 { return .number(Double(sets[0].count)) }
            var all: Set<UInt64> = []
            for set in sets { all.formUnion(set) }
            return .number(Double(all.count))
        }
    }

    private func total(_ offset: Int) -> Double {
        parts.reduce(0) { sum, part in
            part.tiles.reduce(sum) { $0 + part.ring.numbers[$1 * plan.stride + offset] }
        }
    }

    /// An empty tile has NaN, which both functions pass over.
    private func fold(_ offset: Int, _ function: (Double, Double) -> Double) -> StreamValue {
        let found = parts.reduce(Double.nan) { best, part in
            part.tiles.reduce(best) { function($0, part.ring.numbers[$1 * plan.stride + offset]) }
        }
        return found.isNaN ? .null : .number(found)
    }

    private func deviation(_ offset: Int) -> StreamValue {
        var (count, mean, squares) = (0.0, 0.0, 0.0)
        for (ring, tiles) in parts {
            for tile in tiles {
                let at = tile * plan.stride + offset
                let more = ring.numbers[at]
                if more == 0 { continue }
                let distance = ring.numbers[at + 1] - mean
                let sum = count + more
                squares += ring.numbers[at + 2] + distance * distance * count * more / sum
                mean += distance * more / sum
                count = sum
            }
        }
        return count < 2 ? .null : .number((squares / (count - 1)).squareRoot())
    }
}
