import AerieCore
import AerieJSON
import AerieResources
import Features
import StoreLMDB
import Testing

/// Features as models read them.
@Suite struct FeatureVectorsTests {
    private func make(_ shop: Workshop) async throws -> FeatureVectors {
        try await shop.makeDrivers(20)
        _ = try await shop.resources.apply(
            """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: per_digit}
            spec:
              onDemand:
                inputs: ["drivers:rate", "drivers:digit"]
                request: [{name: hours, dtype: INT64}]
              features:
              - {name: pace, dtype: DOUBLE, expression: "rate * digit / nullif(hours, 0)"}
              - {name: word, dtype: STRING, expression: "'w' || CAST(digit AS VARCHAR)"}
            ---
            apiVersion: aerie.dev/v1
            kind: FeatureService
            metadata: {name: scoring}
            spec: {features: ["drivers:rate", "per_digit:pace"]}
            ---
            apiVersion: aerie.dev/v1
            kind: FeatureService
            metadata: {name: words}
            spec: {features: ["per_digit:word"]}
            """, actor: "test")
        // Driver 3 as the source has him, driver 4 not.
        let rows = [(3, 3 / 7.0, 3), (4, 99.0, 4)]
        _ = try await shop.store.write(
            view: "drivers",
            columns: [
                ("driver_id", rows.map { .int(Int64($0.0)) }), ("rate", rows.map { .double($0.1) }),
                ("digit", rows.map { .int(Int64($0.2)) }), ("city", rows.map { .string("c\($0.0 % 3)") }),
                ("event_timestamp", rows.map { .string("2026-10-01T00:00:00.00000\($0.0)Z") }),
            ])
        return try await shop.store.vectors(service: "scoring")
    }

    @Test("a feature on demand is computed with the read, and null where one of its inputs is not known")
    func onDemand() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        let vectors = try await make(shop)
        #expect(vectors.request.map(\.name) == ["hours"])
        let entities: [[FeatureValue]] = [[.int64(3), .int64(4), .int64(50)]]
        let hours: [[FeatureValue]] = [[.int64(2), .int64(0), .int64(1)]]
        let now = try #require(try vectors.readNow(entities, request: hours, rows: 3))
        let later = try await vectors.read(entities, request: hours, rows: 3)
        for columns in [now, later] {
            #expect(Array(columns.values[0][..<2]) == [3 / 7.0, 99])
            #expect(columns.values[1][0] == 3 / 7.0 * 3 / 2)
            #expect(columns.values[1][1].isNaN && columns.values[1][2].isNaN)
            #expect(columns.missing == [1, 2] && columns.stale == [0, 0])
        }
        let error = await #expect(throws: AerieError.self) { try await shop.store.vectors(service: "words") }
        #expect(error?.reason == "feature.notNumeric")
    }

    @Test("where the store cannot be read, a feature on demand is computed of its inputs' defaults")
    func defaultsOfInputs() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        let before = try await make(shop)
        #expect(before.defaults(rows: 1).values.allSatisfy { $0[0].isNaN })
        _ = try await shop.resources.apply(
            """
            apiVersion: aerie.dev/v1
            kind: FeatureView
            metadata: {name: drivers}
            spec:
              entities: [driver]
              ttl: "60s"
              source: {path: \(shop.folder)/drivers.parquet, timestampField: event_timestamp}
              features:
              - {name: rate, dtype: DOUBLE, default: 1.5}
              - {name: digit, dtype: INT64, default: 4}
              - {name: city, dtype: STRING}
            """, actor: "test")
        let vectors = try await shop.store.vectors(service: "scoring")
        // A deployment that reads the features takes the new defaults.
        #expect(vectors.fingerprint != before.fingerprint)
        let columns = vectors.defaults(request: [[.int64(2), .int64(0), .null]], rows: 3)
        #expect(columns.values[0] == [1.5, 1.5, 1.5])
        #expect(columns.values[1][0] == 3 && columns.values[1][1].isNaN && columns.values[1][2].isNaN)
        #expect(columns.missing == [3, 3] && columns.stale == [0, 0])
        // What the request was to bring along is null if it is not there.
        #expect(vectors.defaults(rows: 1).values[1][0].isNaN)
    }

    @Test("what models read is sampled, and compared with what training would have")
    func sampled() async throws {
        let shop = try Workshop(sampleEvery: 2)
        defer { shop.end() }
        let vectors = try await make(shop)
        let entities: [[FeatureValue]] = [[.int64(3), .int64(4), .int64(50)]]
        for _ in 0..<4 { _ = try vectors.readNow(entities, request: [[.int64(1), .int64(1), .int64(1)]], rows: 3) }
        // Every second read, without the entity that nobody knows; written off the reader's thread.
        while try await shop.store.sampledReads() < 4 { await Task.yield() }
        #expect(try await shop.store.sampledReads() == 4)
        let report = try await shop.store.compareSampledReads()
        #expect(report.share(view: "drivers", feature: "rate") == 0.5)
        #expect(report.share(view: "drivers", feature: "digit") == 0)
    }

    @Test("of many reads in a moment only some are kept, and then two a second")
    func keptAtARate() async throws {
        let clock = ManualClock(Timestamp(milliseconds: 1_790_900_000_000))
        let shop = try Workshop(clock: clock, sampleEvery: 1)
        defer { shop.end() }
        let vectors = try await make(shop)
        func read(_ times: Int) throws {
            for _ in 0..<times {
                _ = try vectors.readNow([[.int64(3)]], request: [[.int64(1)], [.int64(1)], [.int64(1)]], rows: 1)
            }
        }
        func kept(_ count: Int) async throws {
            while try await shop.store.sampledReads() < count { await Task.yield() }
            #expect(try await shop.store.sampledReads() == count)
        }
        try read(200)
        try await kept(50)
        clock.advance(milliseconds: 1000)
        try read(200)
        try await kept(52)
        // Set back, it goes on.
        clock.advance(milliseconds: -3_600_000)
        try read(200)
        try await kept(102)
    }

    @Test("read in place they are the same numbers, whatever is missing or too old")
    func inPlace() async throws {
        let shop = try Workshop()
        defer { shop.end() }
        let scoring = try await make(shop)
        #expect(scoring.lookups(shop.online.reader()) == nil)
        for ttl in ["0s", "60s"] {
            _ = try await shop.resources.apply(
                """
                apiVersion: aerie.dev/v1
                kind: FeatureView
                metadata: {name: drivers}
                spec:
                  entities: [driver]
                  ttl: "\(ttl)"
                  source: {path: \(shop.folder)/drivers.parquet, timestampField: event_timestamp}
                  features:
                  - {name: rate, dtype: DOUBLE, default: 1.5}
                  - {name: digit, dtype: INT64}
                  - {name: city, dtype: STRING}
                ---
                apiVersion: aerie.dev/v1
                kind: FeatureService
                metadata: {name: plain}
                spec: {features: ["drivers:digit", "drivers:rate"]}
                """, actor: "test")
            let vectors = try await shop.store.vectors(service: "plain")
            let lookups = try #require(vectors.lookups(shop.online.reader()))
            let ids: [Int64] = [4, 50, 3]
            let wanted = try #require(try vectors.readNow([ids.map(FeatureValue.int64)], rows: ids.count))
            for _ in 0..<2 {
                lookups.begin()
                for id in ids { #expect(lookups.append(id, key: 0)) }
                #expect(lookups.end() == 3)
                lookups.read()
                #expect(lookups.failure == nil)
                for feature in wanted.values.indices {
                    for row in ids.indices {
                        let (mine, other) = (lookups.value(feature, row: row), wanted.values[feature][row])
                        #expect(mine == other || mine.isNaN && other.isNaN)
                    }
                }
                #expect(lookups.missing == wanted.missing && lookups.stale == wanted.stale)
            }
            #expect(lookups.stale == (ttl == "0s" ? [0, 0] : [2, 2]))
        }
    }
}
