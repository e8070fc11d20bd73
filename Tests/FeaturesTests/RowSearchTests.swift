import AerieCore
import AerieJSON
import Foundation
import Testing

@testable import Features

/// Vigna's splitmix64: the same numbers at every run.
private struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = (state ^ state >> 30) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ mixed >> 27) &* 0x94d0_49bb_1331_11eb
        return mixed ^ mixed >> 31
    }
}

/// Distances, and what of a view is found by them.
@Suite struct RowSearchTests {
    /// Vectors of every length around a multiple of the kernel's width, at addresses that are no multiple of anything.
    @Test(arguments: VectorMetric.allCases) func distancesAreThoseOfTheirFormulas(_ metric: VectorMetric) {
        var generator = SeededGenerator(state: 7)
        for count in [1, 2, 7, 8, 9, 16, 31, 100] {
            let one = (0..<count).map { _ in Float.random(in: -2...2, using: &generator) }
            let other = (0..<count).map { _ in Float.random(in: -2...2, using: &generator) }
            let bytes: [UInt8] = [0] + other.flatMap { number in withUnsafeBytes(of: number) { Array($0) } }
            let distance = bytes.withUnsafeBytes {
                ComparedVector(one, metric: metric).distance(to: UnsafeRawBufferPointer(rebasing: $0[1...]))
            }
            #expect(abs(Double(distance) - Self.distance(one, other, metric)) < 1e-4, "\(count)")
        }
    }

    /// In 64 bits, as the formula is written.
    private static func distance(_ one: [Float], _ other: [Float], _ metric: VectorMetric) -> Double {
        var (squares, differences, products) = (0.0, 0.0, 0.0)
        var (norm, otherNorm) = (0.0, 0.0)
        for (first, second) in zip(one, other) {
            let (first, second) = (Double(first), Double(second))
            squares += (first - second) * (first - second)
            differences += abs(first - second)
            products += first * second
            norm += first * first
            otherNorm += second * second
        }
        return switch metric {
        case .l2: squares.squareRoot()
        case .l1: differences
        case .innerProduct: -products
        case .cosine: 1 - products / (norm * otherNorm).squareRoot()
        }
    }

    @Test func aVectorOfZerosHasNoDirection() {
        let zeros = [UInt8](repeating: 0, count: 12)
        #expect(zeros.withUnsafeBytes { ComparedVector([1, 2, 3], metric: .cosine).distance(to: $0) } == 1)
    }

    @Test func theNearestAreKeptInWhateverOrderTheyCome() {
        var generator = SeededGenerator(state: 11)
        let all: [NearestRows.Row] = (0..<500).map { (number: Int) in
            NearestRows.Row(distance: Float(number / 3), key: [UInt8(number >> 8), UInt8(number & 255)])
        }
        for limit in [1, 10, 499, 1000] {
            var nearest = NearestRows(limit: limit)
            // Each twice, as a store may show them.
            let twice: [NearestRows.Row] = all + all
            for row in twice.shuffled(using: &generator) {
                row.key.withUnsafeBytes { nearest.offer(row.distance, $0) }
            }
            nearest.offer(.nan, UnsafeRawBufferPointer(start: nil, count: 0))
            #expect(nearest.rows.map(\.key) == all.prefix(limit).map(\.key))
        }
    }

    @Test func textsComeBeforeDistances() {
        var nearest = NearestRows(limit: 3)
        for (textRank, distance, key) in [
            (0, 0.5, 1), (1, .infinity, 2), (0, 0.1, 3), (2, 9, 4), (1, 3, 5), (0, .infinity, 6),
        ] as [(Float, Float, UInt8)] {
            withUnsafeBytes(of: key) { nearest.offer(textRank: textRank, distance, $0) }
        }
        #expect(nearest.rows.map(\.key) == [[4], [5], [2]])
    }

    @Test func filtersCompareByType() throws {
        let columns: [(name: String, type: FeatureType?)] = [
            ("year", .int64), ("share", .float), ("lang", .string), ("open", .bool), ("tags", .stringList), ("id", nil),
        ]
        func isMet(_ filter: RowFilter, _ row: [String: FeatureValue]) throws -> Bool {
            let resolved = try ResolvedFilter(filter, columns)
            return resolved.isMet(resolved.columns.map { row[$0.name] ?? .null })
        }
        func compare(_ name: String, _ how: RowFilter.Operator, _ values: JSONValue...) -> RowFilter {
            .comparison(column: name, how, values: values)
        }
        let row: [String: FeatureValue] = [
            "year": .int64(1999), "share": .float(0.1), "lang": .string("né"), "open": .bool(true), "id": .string("a"),
        ]
        for filter in [
            compare("year", .greater, 1998.5), compare("year", .atMost, 1999), compare("share", .equal, 0.1),
            compare("share", .less, 1), compare("lang", .isIn, "x", "né"), compare("lang", .greater, "n"),
            compare("open", .equal, true), compare("open", .notEqual, 0), compare("id", .equal, "a"), .all([]), .any([]),
            .any([compare("year", .equal, 1), compare("id", .isNotIn, "b")]),
        ] { #expect(try isMet(filter, row), "\(filter)") }
        for filter in [
            compare("year", .greater, 1999), compare("share", .notEqual, 0.1), compare("lang", .isNotIn, "né"),
            .all([compare("year", .equal, 1999), compare("open", .equal, false)]),
        ] { #expect(try !isMet(filter, row), "\(filter)") }
        for how in RowFilter.Operator.allCases { #expect(try !isMet(compare("year", how, 1), [:])) }
        for wrong in [
            compare("nope", .equal, 1), compare("tags", .equal, "x"), compare("year", .equal, "x"),
            compare("lang", .equal, 1), compare("year", .equal, .null),
            .any(Array(repeating: compare("year", .equal, 1), count: 101)),
        ] { #expect(throws: AerieError.self, "\(wrong)") { try isMet(wrong, row) } }
    }

    @Test func keysAreReadBack() throws {
        let key = EntityKey(names: ["b", "a"])
        let values: [FeatureValue] = [.string("né"), .int32(-7)]
        var bytes = try key.bytes(values) + Array("project".utf8)
        let parsed = try #require(bytes.withUnsafeBytes { EntityKey.parse($0) })
        #expect(parsed.values.map(\.name) == ["a", "b"] && parsed.values.map(\.value) == values)
        #expect(parsed.count == bytes.count - 7)
        while !bytes.isEmpty {
            bytes.removeLast()
            #expect(bytes.withUnsafeBytes { EntityKey.parse($0) } == nil || bytes.count >= parsed.count)
        }
    }
}
