import Testing

@testable import Streaming

private let second: Int64 = 1_000_000
private let minute = 60 * second
private let hour = 60 * minute
private let start: Int64 = 1_790_000_000 / 3600 * hour

private func plan(_ aggregations: [WindowAggregation], lateness: Int64 = hour) -> WindowPlan {
    WindowPlan(aggregations, allowedLateness: lateness)
}

private func event(
    _ time: Int64, _ values: StreamValue..., arrival: Int64? = nil, id: UInt64? = nil
) -> StreamEvent {
    StreamEvent(key: [1], time: start + time, arrival: start + (arrival ?? time), id: id, values: values)
}

@Suite struct EntityWindowsTests {
    private let count = plan([.init(name: "n", function: .count, column: nil, window: hour, slide: minute)])

    @Test("an event counts from its instant, and not a window later") func edges() {
        var windows = EntityWindows(count)
        #expect(windows.apply(event(0), count) == .counted)
        #expect(windows.values(at: start, count) == [.number(1)])
        // The tile of the event goes as a whole, when its first instant is a window old.
        #expect(windows.values(at: start + hour - 1, count) == [.number(1)])
        #expect(windows.values(at: start + hour, count) == [.number(0)])
        #expect(windows.apply(event(hour + 90 * second), count) == .counted)
        #expect(windows.values(at: start + hour + 90 * second, count) == [.number(1)])
        #expect(windows.values(at: start + 2 * hour + minute - 1, count) == [.number(1)])
        #expect(windows.values(at: start + 2 * hour + minute, count) == [.number(0)])
    }

    @Test("every function over numbers") func functions() {
        let all = plan(
            AggregateFunction.allCases.map {
                .init(name: $0.rawValue, function: $0, column: "x", window: hour, slide: minute)
            })
        var windows = EntityWindows(all)
        func values(_ at: Int64) -> [StreamValue] { windows.values(at: start + at, all) }
        // count, sum, mean, min, max, stddev, last, distinct_count
        #expect(all.emptyValues == [.number(0), .number(0), .null, .null, .null, .null, .null, .number(0)])
        for (place, number) in [2.0, 4, 4, 4, 5, 5, 7, 9].enumerated() {
            #expect(windows.apply(event(Int64(place) * 5 * minute, .number(number)), all) == .counted)
        }
        #expect(windows.apply(event(36 * minute, .null), all) == .counted)
        #expect(windows.apply(event(36 * minute, .number(.nan)), all) == .counted)
        let deviation = (32.0 / 7).squareRoot()
        #expect(
            values(40 * minute) == [
                .number(8), .number(40), .number(5), .number(2), .number(9), .number(deviation), .number(9), .number(5),
            ])
        // Only the last event, at 35 minutes, is left.
        #expect(
            values(94 * minute) == [
                .number(1), .number(9), .number(9), .number(9), .number(9), .null, .number(9), .number(1),
            ])
        #expect(values(95 * minute) == all.emptyValues)
    }

    @Test("what is late, known, implausible or ahead of its time") func verdicts() {
        var windows = EntityWindows(count)
        #expect(windows.apply(event(0, arrival: hour, id: 1), count) == .counted)
        #expect(windows.apply(event(0, arrival: hour + 1, id: 2), count) == .late)
        #expect(windows.apply(event(0, arrival: hour, id: 1), count) == .duplicate)
        #expect(windows.apply(event(hour + 601 * second, arrival: hour, id: 3), count) == .implausible)
        #expect(windows.apply(event(hour + 5 * minute, arrival: hour, id: 4), count) == .counted)
        #expect(windows.values(at: start + hour, count) == [.number(0)])
        #expect(windows.values(at: start + hour + 5 * minute, count) == [.number(1)])
        #expect(windows.apply(event(hour + 6 * minute, id: 5), count) == .counted)
        #expect(windows.values(at: start + hour + 6 * minute, count) == [.number(2)])
        #expect(windows.version == 3)
    }

    @Test("identities are kept for as long as a duplicate could count, and no longer") func identities() {
        var windows = EntityWindows(count)
        for number in 0..<500 {
            let time = Int64(number) * minute
            #expect(windows.apply(event(time, id: UInt64(number)), count) == .counted)
            if number >= 60 {
                #expect(
                    windows.apply(event(time - hour, arrival: time, id: UInt64(number - 60)), count) == .duplicate)
            }
        }
        // An hour of lateness, ten minutes for clocks, and what is let lie.
        #expect(windows.bytes(count).count < 16 * 140 + 4 * 80 + 100)
    }

    @Test("the order of arrival does not matter, and bytes bring everything back") func order() throws {
        let rich = plan(
            [
                .init(name: "a", function: .count, column: nil, window: hour),
                .init(name: "b", function: .sum, column: "x", window: 24 * hour),
                .init(name: "c", function: .minimum, column: "x", window: 24 * hour),
                .init(name: "d", function: .deviation, column: "x", window: hour),
                .init(name: "e", function: .last, column: "city", window: 7 * 24 * hour),
                .init(name: "f", function: .distinctCount, column: "city", window: 24 * hour),
            ], lateness: 48 * hour)
        var events: [StreamEvent] = []
        for number in 0..<400 {
            let time = Int64(number * 7919 % 1000) * 2 * minute
            events.append(
                event(
                    time, .number(Double(number * 31 % 97)), number % 5 == 0 ? .null : .text("città \(number % 7)"),
                    arrival: 34 * hour + Int64(number), id: UInt64(number)))
        }
        var forward = EntityWindows(rich)
        var backward = EntityWindows(rich)
        for event in events { #expect(forward.apply(event, rich) == .counted) }
        for (place, event) in events.reversed().enumerated() {
            #expect(backward.apply(event, rich) == .counted)
            if place % 50 == 0 {
                let bytes = backward.bytes(rich)
                backward = try EntityWindows(bytes, rich)
                #expect(backward.bytes(rich) == bytes)
            }
        }
        var writer = StateWriter()
        let readers = try EntityWindows(forward.encoded(rich, &writer).published, rich)
        for step in 0..<80 {
            let now = start + 34 * hour + Int64(step) * 30 * minute
            let (one, two) = (forward.values(at: now, rich), backward.values(at: now, rich))
            #expect(readers.values(at: now, rich) == one)
            for (a, b) in zip(one, two) {
                if case (.number(let x), .number(let y)) = (a, b) {
                    #expect(abs(x - y) <= 1e-9 * max(1, abs(x)))
                } else {
                    #expect(a == b)
                }
            }
        }
    }

    @Test("bytes that are cut short are said to be lost, wherever they are cut") func damage() throws {
        var windows = EntityWindows(count)
        for number in 0..<5 { _ = windows.apply(event(Int64(number) * minute, id: UInt64(number)), count) }
        let bytes = windows.bytes(count)
        for length in 0..<bytes.count {
            #expect(throws: (any Error).self) {
                try EntityWindows(Array(bytes.prefix(length)), count)
            }
        }
    }

    @Test("the usual slides, and what a window may be") func slides() {
        #expect(WindowAggregation.defaultSlide(window: hour) == minute)
        #expect(WindowAggregation.defaultSlide(window: 24 * hour) == 15 * minute)
        #expect(WindowAggregation.defaultSlide(window: 7 * 24 * hour) == hour)
        #expect(WindowAggregation.defaultSlide(window: 30 * 24 * hour) == 6 * hour)
        let odd = WindowAggregation(name: "a", function: .sum, column: "x", window: hour, slide: 7 * minute)
        #expect(odd.problem != nil)
        #expect(WindowAggregation(name: "a", function: .sum, column: nil, window: hour).problem != nil)
        #expect(WindowAggregation(name: "a", function: .count, column: nil, window: hour, slide: second).problem != nil)
    }
}
