import AerieCore
import Experiments
import Testing

/// Searches of random runs beside the plainest way to the same answer: filter all of them, sort, cut.
enum SearchConformance {
    static let all: [TrackingConformance] = [
        .init("random searches find what filtering and sorting every run finds, page by page") { stores in
            let runs = try await fill(stores, count: 300)
            var generator = SplitMix(state: 11)
            for _ in 0..<60 {
                let query = randomQuery(&generator)
                let expected = reference(runs, query).map(\.info.id)
                var found: [RunID] = []
                var paged = query
                repeat {
                    let page = try await stores.runs.search(paged)
                    #expect(page.elements.count <= query.limit)
                    found += page.elements.map(\.info.id)
                    paged.position = page.next
                } while paged.position != nil
                #expect(found == expected, "\(query)")
            }
        },
        .init("a page token of another search is refused") { stores in
            _ = try await fill(stores, count: 5)
            var query = SearchQuery(experimentIDs: ["0"], limit: 1)
            query.position = try await stores.runs.search(query).next
            query.order = [SearchOrder(SearchField(.metric, "a")), SearchOrder(SearchField(.param, "p"))]
            let wrong = query
            #expect(await TrackingConformance.code { _ = try await stores.runs.search(wrong) } == .invalidArgument)
        },
        .init("a page token whose values are not of the search's kinds is refused") { stores in
            _ = try await fill(stores, count: 20)
            var query = SearchQuery(experimentIDs: ["0"], limit: 1)
            let next = try #require(try await stores.runs.search(query).next)
            for place in next.after.indices {
                var forged = next
                if case .text = forged.after[place] {
                    // Below every identifier, so that rows follow, which say what kind was meant.
                    forged.after[place] = .integer(1)
                    forged.after[0] = .integer(.max)
                } else {
                    forged.after[place] = .text("x")
                }
                query.position = forged
                let wrong = query
                let code = await TrackingConformance.code { _ = try await stores.runs.search(wrong) }
                #expect(code == .invalidArgument, "\(forged)")
            }
        },
    ]

    /// Runs of three experiments, some deleted, with values missing, equal and NaN.
    private static func fill(_ stores: TrackingStores, count: Int) async throws -> [Run] {
        var generator = SplitMix(state: 7)
        var experiments: [ExperimentID] = ["0"]
        for name in ["x", "y"] { experiments.append(try await TrackingConformance.experiment(stores, name).id) }
        var runs: [Run] = []
        for index in 0..<count {
            let id = RunID("run\(generator.next(1000))-\(index)")
            let info = RunInfo(
                id: id, experimentID: experiments[generator.next(10) < 6 ? 0 : generator.next(3)],
                name: "n\(generator.next(20))", userID: "u",
                startTime: TrackingConformance.at(Int64(generator.next(50))),
                endTime: generator.next(3) == 0 ? nil : TrackingConformance.at(Int64(generator.next(40))),
                artifactURI: "a")
            var run = Run(info: info)
            for key in ["a", "b"] where generator.next(4) > 0 {
                let value = generator.next(12) == 0 ? Double.nan : Double(generator.next(15)) / 2
                run.metrics.append(Metric(key: key, value: value, timestamp: TrackingConformance.at(1)))
            }
            if generator.next(5) > 0 { run.params.append(Param(key: "p", value: "v\(generator.next(8))")) }
            if generator.next(2) > 0 {
                run.tags.append(Tag(key: "t", value: generator.next(9) == 0 ? "Rare" : "t\(generator.next(3))"))
            }
            runs.append(run)
        }
        try await stores.runs.create(runs)
        for index in runs.indices where generator.next(6) == 0 {
            _ = try await stores.runs.update(
                runs[index].info.id, RunChange(stage: .deleted), at: TrackingConformance.at(9))
            runs[index].info.stage = .deleted
        }
        return runs
    }

    private static func randomQuery(_ generator: inout SplitMix) -> SearchQuery {
        let experiments: [[ExperimentID]] = [["0"], ["0", "1"], ["0", "1", "2"], ["2"]]
        let conditions: [SearchCondition] = [
            .init(SearchField(.metric, "a"), .greater, .number(Double(generator.next(7)))),
            .init(SearchField(.metric, "a"), .notEqual, .number(3)),
            .init(SearchField(.metric, "b"), .lessOrEqual, .number(1)),
            .init(SearchField(.param, "p"), .equal, .text("v3")),
            .init(SearchField(.param, "p"), .isNull, .none),
            .init(SearchField(.tag, "t"), .equal, .text("Rare")),
            .init(SearchField(.tag, "t"), .like, .text("t%")),
            .init(SearchField(.tag, "t"), .ilike, .text("rA%")),
            .init(SearchField(.attribute, "start_time"), .less, .number(30)),
            .init(SearchField(.attribute, "run_name"), .notEqual, .text("n3")),
        ]
        let orders: [SearchOrder] = [
            SearchField(.metric, "a"), SearchField(.param, "p"), SearchField(.tag, "t"),
            SearchField(.attribute, "end_time"), SearchField(.attribute, "run_name"),
            SearchField(.attribute, "start_time"),
        ]
        .flatMap { [SearchOrder($0, ascending: true), SearchOrder($0, ascending: false)] }
        return SearchQuery(
            experimentIDs: experiments[generator.next(4)],
            conditions: (0..<generator.next(3)).map { _ in conditions[generator.next(conditions.count)] },
            order: (0..<generator.next(3)).map { _ in orders[generator.next(orders.count)] },
            view: [.activeOnly, .activeOnly, .deletedOnly, .all][generator.next(4)],
            limit: [1, 7, 40, 1000][generator.next(4)])
    }

    // MARK: The plainest way

    private static func reference(_ runs: [Run], _ query: SearchQuery) -> [Run] {
        runs.filter { run in
            query.experimentIDs.contains(run.info.experimentID)
                && (query.view == .all || (run.info.stage == .active) == (query.view == .activeOnly))
                && query.conditions.allSatisfy { holds($0, run) }
        }.sorted { a, b in
            for order in query.order {
                let (x, y) = (place(of: value(order.field, a)), place(of: value(order.field, b)))
                if x.rank != y.rank { return x.rank < y.rank }
                if x.text != y.text { return (x.text < y.text) == order.ascending }
                if x.number != y.number { return (x.number < y.number) == order.ascending }
            }
            if a.info.startTime != b.info.startTime { return a.info.startTime > b.info.startTime }
            return a.info.id.text < b.info.id.text
        }
    }

    private enum Value { case number(Double), text(String) }

    private static func value(_ field: SearchField, _ run: Run) -> Value? {
        switch (field.kind, field.key) {
        case (.metric, let key): run.metrics.first { $0.key == key }.map { .number($0.value) }
        case (.param, let key): run.params.first { $0.key == key }.map { .text($0.value) }
        case (.tag, let key): run.tags.first { $0.key == key }.map { .text($0.value) }
        case (_, "end_time"): run.info.endTime.map { .number(Double($0.milliseconds)) }
        case (_, "start_time"): .number(Double(run.info.startTime.milliseconds))
        default: .text(run.info.name)
        }
    }

    private static func place(of value: Value?) -> (rank: Int, text: String, number: Double) {
        switch value {
        case nil: (2, "", 0)
        case .number(let number): number.isNaN ? (1, "", 0) : (0, "", number)
        case .text(let text): (0, text, 0)
        }
    }

    private static func holds(_ condition: SearchCondition, _ run: Run) -> Bool {
        guard let value = value(condition.field, run) else { return condition.comparison == .isNull }
        switch (value, condition.comparison, condition.value) {
        case (.number(let a), .greater, .number(let b)): return a > b
        case (.number(let a), .lessOrEqual, .number(let b)): return a <= b
        case (.number(let a), .less, .number(let b)): return a < b
        case (.number(let a), .notEqual, .number(let b)): return a != b
        case (.text(let a), .equal, .text(let b)): return a == b
        case (.text(let a), .notEqual, .text(let b)): return a != b
        case (.text(let a), .like, .text(let b)): return a.hasPrefix(b.dropLast())
        case (.text(let a), .ilike, .text(let b)): return a.lowercased().hasPrefix(b.dropLast().lowercased())
        default: return false
        }
    }
}

/// Deterministic random numbers (SplitMix64), so that a failure can be run again.
private struct SplitMix {
    var state: UInt64
    mutating func next(_ bound: Int) -> Int {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return Int((z ^ (z >> 31)) % UInt64(bound))
    }
}
