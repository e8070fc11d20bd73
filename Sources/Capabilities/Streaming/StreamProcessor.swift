public import AerieCore

/// Events that come together, and what is to be remembered with them.
public struct StreamBatch: Sendable {
    /// A part of a log, and where its next message after this batch is.
    public struct Source: Sendable, Hashable {
        public var partition: String
        /// The offset of each event, in order.
        public var offsets: [Int64]
        public var next: Int64

        public init(partition: String, offsets: [Int64], next: Int64) {
            self.partition = partition
            self.offsets = offsets
            self.next = next
        }
    }

    public var events: [StreamEvent]
    /// `nil` for events that come from no log.
    public var source: Source?
    public var deadLetters: [DeadLetter]
    /// Events that a history has counted, of which copies may come by the stream.
    var known: [StreamEvent] = []
    /// Whether a history is read from here on.
    var beginsReading = false

    public init(events: [StreamEvent], source: Source? = nil, deadLetters: [DeadLetter] = []) {
        self.events = events
        self.source = source
        self.deadLetters = deadLetters
    }

    /// Events that it makes work of.
    fileprivate var size: Int { events.count + known.count }
}

/// What was counted since the process began.
public struct StreamTotals: Sendable, Hashable {
    public var verdicts: [StreamVerdict: Int] = [:]
    public var deadLetters = 0
    public var commits = 0
    /// Commits that could not be published at first; they are tried again.
    public var publishFailures = 0
    /// The greatest time of an event, and the greatest arrival; microseconds since 1970, 0 for none.
    public var latestEvent: Int64 = 0
    public var latestArrival: Int64 = 0

    public init() {}
}

/// Takes batches of one stream in, one after the other: counts their events into the states of entities, commits states
/// and positions in one step, publishes what changed, and only then answers.
///
/// Batches that wait at the same time share a step. A step that cannot be committed changes nothing, and its batches
/// fail. A step that was committed is never lost: if publishing fails, or the process ends before it, the states are
/// published later; `ingest` answers all the same. Publishing must bear repetition.
public actor StreamProcessor {
    public typealias Publish = @Sendable ([PublishedState]) async throws(AerieError) -> Void

    /// Events of one step, unless a single batch has more.
    private static let stepLimit = 50_000
    /// States that may wait to be published before nothing more is taken in.
    private static let owedLimit = 1_000_000

    public let stream: String
    public let plan: WindowPlan
    private let store: any StreamStateStore
    private let publish: Publish
    private let clock: any WallClock
    private var waiting: [(StreamBatch, CheckedContinuation<Result<StreamTotals, AerieError>, Never>)] = []
    private var isWorking = false
    private var isOpen = false
    private var cache = StateCache()
    private var positionsNow: [String: Int64] = [:]
    private var seamNow = StreamSeam()
    private var lastReading: Int64 = 0
    private var step: Int64 = 0
    private var publishedStep: Int64 = 0
    /// Committed and not published yet, by key.
    private var owed: [[UInt8]: PublishedState] = [:]
    public private(set) var totals = StreamTotals()

    /// - Parameter publish: gets the newest state of each entity that changed, without identities.
    public init(
        stream: String, plan: WindowPlan, store: any StreamStateStore, clock: any WallClock, publish: @escaping Publish
    ) {
        self.stream = stream
        self.plan = plan
        self.store = store
        self.publish = publish
        self.clock = clock
    }

    /// Returns once the batch is committed: it then counts, once, whatever happens.
    /// - Returns: what became of the batch's events.
    public func ingest(_ batch: StreamBatch) async throws(AerieError) -> StreamTotals {
        let result = await withCheckedContinuation { continuation in
            waiting.append((batch, continuation))
            if !isWorking {
                isWorking = true
                Task { await work() }
            }
        }
        return try result.get()
    }

    /// Where the next message of each partition is; what lies before it has been counted.
    public func positions() async throws(AerieError) -> [String: Int64] {
        try await open()
        return positionsNow
    }

    /// Notes, lastingly, that the batch source of the stream's history is read from now on.
    /// - Returns: which events are the history's, and the moment from whose arrivals on it need have none.
    public func beginReading() async throws(AerieError) -> (seam: StreamSeam, reading: Int64) {
        var batch = StreamBatch(events: [])
        batch.beginsReading = true
        _ = try await ingest(batch)
        return (seamNow, lastReading)
    }

    /// Keeps copies of events that a history has from being counted by the stream.
    public func know(_ events: [StreamEvent]) async throws(AerieError) {
        var batch = StreamBatch(events: [])
        batch.known = events
        _ = try await ingest(batch)
    }

    /// Publishes what was committed and could not be published.
    public func catchUp() async throws(AerieError) {
        try await open()
        guard !owed.isEmpty, !isWorking else { return }
        isWorking = true
        let result = await attemptPublishing()
        isWorking = false
        if !waiting.isEmpty {
            isWorking = true
            Task { await work() }
        }
        try result.get()
    }

    /// Forgets states that no window can need any more.
    public func sweep() async throws(AerieError) -> Int {
        let limit = now - plan.retention - WindowPlan.futureLimit
        return try await store.sweep(stream, before: limit)
    }

    private func open() async throws(AerieError) {
        if isOpen { return }
        let positions = try await store.positions(stream)
        let left = try await store.unpublished(stream)
        let seam = try await store.seam(stream)
        if isOpen { return }
        positionsNow = positions
        seamNow = seam
        step = left.step
        var writer = StateWriter()
        for state in left.states {
            let windows = try EntityWindows(state.bytes, plan)
            owed[state.key] = PublishedState(
                key: state.key, latest: windows.latest, version: windows.version,
                bytes: windows.encoded(plan, &writer).published)
        }
        isOpen = true
    }

    // MARK: One step

    private func work() async {
        while !waiting.isEmpty {
            var taken: [(StreamBatch, CheckedContinuation<Result<StreamTotals, AerieError>, Never>)] = []
            var count = 0
            while let next = waiting.first, taken.isEmpty || count + next.0.size <= Self.stepLimit {
                count += next.0.size
                taken.append(waiting.removeFirst())
            }
            do throws(AerieError) {
                let results = try await run(taken.map(\.0))
                for (entry, totals) in zip(taken, results) { entry.1.resume(returning: .success(totals)) }
            } catch {
                for entry in taken { entry.1.resume(returning: .failure(error)) }
            }
        }
        isWorking = false
    }

    private func run(_ batches: [StreamBatch]) async throws(AerieError) -> [StreamTotals] {
        try await open()
        if owed.count > Self.owedLimit { try await attemptPublishing().get() }
        cache.beginStep()
        let places = try await find(batches)
        var change = StreamChange()
        var results: [StreamTotals] = []
        let now = now
        let seam = seam(after: batches, now)
        if seam != seamNow { change.seam = seam }
        for (batch, places) in zip(batches, places) { results.append(apply(batch, places, now, seam, &change)) }
        let published = encode(&change)
        guard !change.isEmpty else {
            for result in results { totals.add(result) }
            return results
        }
        change.step = step + 1
        change.published = publishedStep
        do throws(AerieError) { try await store.commit(stream, change) } catch {
            // What is in memory is ahead of what is kept.
            cache = StateCache()
            throw error
        }
        step += 1
        positionsNow.merge(change.positions) { $1 }
        seamNow = seam
        for result in results { totals.add(result) }
        totals.commits += 1
        _ = await attemptPublishing(published)
        return results
    }

    /// The states that the step has changed, for the change and for those who read them. In the order of the store's
    /// own tree, which is then written from one end to the other.
    private func encode(_ change: inout StreamChange) -> [PublishedState] {
        var published: [PublishedState] = []
        published.reserveCapacity(cache.touched.count)
        change.states.reserveCapacity(cache.touched.count)
        var writer = StateWriter()
        for place in cache.touchedInOrder {
            let key = cache.key(place)
            cache.states[place].forgetEarly(plan)
            let windows = cache.states[place]
            let bytes = windows.encoded(plan, &writer)
            change.states.append(StoredState(key: key, latest: windows.latest, bytes: bytes.stored))
            published.append(
                PublishedState(key: key, latest: windows.latest, version: windows.version, bytes: bytes.published))
        }
        return published
    }

    private var now: Int64 { clock.now().milliseconds * 1000 }

    /// The seam as it is from these batches on.
    private func seam(after batches: [StreamBatch], _ now: Int64) -> StreamSeam {
        var seam = seamNow
        if batches.contains(where: \.beginsReading) {
            // After whatever has come, by whosever clock.
            lastReading = max(now, totals.latestArrival) + 1
            seam.read(at: lastReading, lateness: plan.allowedLateness)
        }
        seam.begin(with: batches, now: now)
        return seam
    }

    /// - Parameter places: of the entities of the batch's events, and then of those it knows, in the cache.
    private func apply(
        _ batch: StreamBatch, _ places: [Int], _ now: Int64, _ seam: StreamSeam, _ change: inout StreamChange
    ) -> StreamTotals {
        var result = StreamTotals()
        let known = batch.source.map { change.positions[$0.partition] ?? positionsNow[$0.partition] ?? .min } ?? .min
        // A partition that changed hands may be read from an earlier place by its next reader.
        if let source = batch.source, source.next <= known { return result }
        var counts = Array(repeating: 0, count: StreamVerdict.allCases.count)
        // One entity after the other, of each its events as they came: each state is looked for in memory once.
        let order = places.enumerated().map { UInt64($1) << 32 | UInt64($0) }.sorted()
        for entry in order {
            let (number, place) = (Int(entry & 0xffff_ffff), Int(entry >> 32))
            guard number < batch.events.count else {
                if cache.states[place].know(batch.known[number - batch.events.count], plan) { cache.touch(place) }
                continue
            }
            let event = batch.events[number]
            if let source = batch.source, source.offsets[number] < known { continue }
            let verdict =
                event.arrival > now + WindowPlan.futureLimit
                ? .implausible : cache.states[place].apply(event, plan, seam)
            counts[verdict.place] += 1
            guard verdict == .counted else { continue }
            cache.touch(place)
            result.latestEvent = max(result.latestEvent, event.time)
            result.latestArrival = max(result.latestArrival, event.arrival)
        }
        for verdict in StreamVerdict.allCases where counts[verdict.place] > 0 {
            result.verdicts[verdict] = counts[verdict.place]
        }
        change.deadLetters += batch.deadLetters
        result.deadLetters = batch.deadLetters.count
        if let source = batch.source { change.positions[source.partition] = source.next }
        return result
    }

    /// Brings the states of a step's entities into memory.
    /// - Returns: for each batch the places in the cache of the entities of its events, and then of those it knows.
    private func find(_ batches: [StreamBatch]) async throws(AerieError) -> [[Int]] {
        var missing: [Int] = []
        let places = batches.map { batch in
            let events = batch.known.isEmpty ? batch.events : batch.events + batch.known
            return events.map { cache.place($0.key, plan, &missing) }
        }
        if missing.isEmpty { return places }
        do throws(AerieError) {
            for (place, bytes) in zip(missing, try await store.load(stream, missing.map { cache.key($0) })) {
                if let bytes { cache.states[place] = try EntityWindows(bytes, plan) }
            }
        } catch {
            cache = StateCache()
            throw error
        }
        return places
    }

    /// Publishes what a step has changed, and before it what is owed. What fails is owed until the next step, or
    /// `catchUp`.
    private func attemptPublishing(_ states: [PublishedState] = []) async -> Result<Void, AerieError> {
        if !owed.isEmpty { for state in states { owed[state.key] = state } }
        let upTo = step
        do throws(AerieError) { try await publish(owed.isEmpty ? states : Array(owed.values)) } catch {
            totals.publishFailures += 1
            if owed.isEmpty { owed = Dictionary(uniqueKeysWithValues: states.map { ($0.key, $0) }) }
            return .failure(error)
        }
        owed = [:]
        publishedStep = upTo
        return .success(())
    }
}

extension StreamTotals {
    public mutating func add(_ other: StreamTotals) {
        verdicts.merge(other.verdicts) { $0 + $1 }
        deadLetters += other.deadLetters
        commits += other.commits
        publishFailures += other.publishFailures
        latestEvent = max(latestEvent, other.latestEvent)
        latestArrival = max(latestArrival, other.latestArrival)
    }
}
