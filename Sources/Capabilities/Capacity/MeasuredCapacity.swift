public import AerieCore
public import AerieJSON

/// What one node was seen to answer within a latency limit, out of measurements at constant rates.
public struct MeasuredCapacity: Sendable, Equatable {
    public struct Point: Sendable, Equatable {
        /// Requests that fell due in a second.
        public var rate: Double
        /// In seconds.
        public var p99: Double
        /// The share that was answered well.
        public var success: Double

        public init(rate: Double, p99: Double, success: Double) {
            self.rate = rate
            self.p99 = p99
            self.success = success
        }

        /// A rate is borne if its P99 is within the limit and at most one in a thousand fails.
        public func holds(_ limit: Double) -> Bool { p99 <= limit && success >= 0.999 }
    }

    public var points: [Point]
    /// Cores of the node, the load generator's share included.
    public var cores: Int

    public init(points: [Point], cores: Int) {
        self.points = points
        self.cores = cores
    }

    /// The highest rate that was borne, of those below the first that was not: a lucky point above it does not count.
    public func rate(within limit: Double) -> Double? {
        var best: Double?
        for point in points.sorted(by: { $0.rate < $1.rate }) {
            guard point.holds(limit) else { break }
            best = point.rate
        }
        return best
    }

    /// What `aerie bench --find-rate` writes.
    /// - Throws: `invalidArgument` for other files.
    public init(json: JSONValue) throws(AerieError) {
        guard let points = json["points"]?.array, let cores = json["settings"]?["cores"]?.int else {
            throw .invalid("--measured", "it has no points; make it with: aerie bench MODEL --find-rate --json FILE")
        }
        var read: [Point] = []
        for (index, point) in points.enumerated() {
            guard let rate = point["rate"]?.double, let success = point["success"]?.double else {
                throw .invalid("--measured", "points[\(index)] has no rate")
            }
            read.append(Point(rate: rate, p99: point["p99_seconds"]?.double ?? .infinity, success: success))
        }
        self.init(points: read, cores: Int(cores))
    }

    public func json() -> JSONValue {
        .array(
            points.map { point in
                [
                    "rate": .double(point.rate), "p99_seconds": point.p99.isFinite ? .double(point.p99) : .null,
                    "success": .double(point.success),
                ]
            })
    }
}
