import Datasets
import Testing

@Suite struct TransactionStreamTests {
    @Test("The same seed gives the same stream, another seed another") func seeded() {
        let stream = TransactionStream(.init(rows: 500, seed: 3))
        #expect(stream.csv() == stream.csv())
        #expect(stream.csv() != TransactionStream(.init(rows: 500, seed: 4)).csv())
    }

    @Test("The first numbers of the generator are those of SplitMix64") func splitMix() {
        var generator = SeededGenerator(seed: 1_234_567)
        #expect(generator.next() == 6_457_827_717_110_365_317)
        #expect(generator.next() == 3_203_168_211_198_807_973)
    }

    @Test("Velocity is the number of the user's earlier events in the preceding 24 hours", arguments: [UInt64(7), 8])
    func velocity(seed: UInt64) {
        let events = TransactionStream(.init(rows: 10_000, seed: seed)).generate()
        #expect(events.count == 10_000)
        var byUser: [Int: [Int64]] = [:]
        for event in events {
            let earlier = byUser[event.userID, default: []]
            #expect(event.velocity == earlier.count { $0 < event.time && $0 >= event.time - 86_400 })
            byUser[event.userID, default: []].append(event.time)
        }
        #expect(byUser.count > 590 && byUser.count <= 600)
    }

    @Test("Rows are in the order of time, within 45 days, and a user never pays twice in a second") func order() {
        let events = TransactionStream().generate()
        #expect(zip(events, events.dropFirst()).allSatisfy { $0.time <= $1.time })
        #expect(Set(events.map { "\($0.userID) \($0.time)" }).count == events.count)
        let days = ((events.last?.time ?? 0) - (events.first?.time ?? 0)) / 86_400
        #expect(days >= 44 && days <= 45)
        #expect(events.map(\.id) == Array(1...10_000))
    }

    @Test("Between 4 and 9 of 100 transactions are frauds", arguments: [UInt64(1), 2, 3, 4, 5])
    func share(seed: UInt64) {
        let frauds = TransactionStream(.init(seed: seed)).generate().count { $0.isFraud }
        #expect(frauds > 400 && frauds < 900)
    }

    @Test("The CSV has the documented columns, plain numbers and UTC times") func csv() {
        let lines = TransactionStream(.init(rows: 100, seed: 1)).csv().split(separator: "\n")
        #expect(lines.count == 101)
        #expect(lines[0].hasPrefix("transaction_id,amount,transaction_hour,merchant_category,"))
        for line in lines.dropFirst() {
            let cells = line.split(separator: ",", omittingEmptySubsequences: false)
            #expect(cells.count == 12)
            #expect(cells[9] == "TRUE" || cells[9] == "FALSE")
            #expect(Double(cells[1]) != nil)
            #expect(cells[11].count == 19 && cells[11].hasPrefix("2026-0"))
            #expect(Int(cells[11].dropFirst(11).prefix(2)) == Int(cells[2]))
        }
    }

    @Test("Options out of range are moved into it") func limits() {
        let options = TransactionStream.Options(rows: -5, seed: 1, users: 0, days: 0)
        #expect(options.rows == 1 && options.users == 1 && options.days == 1)
        #expect(TransactionStream(options).generate().count == 1)
    }
}
