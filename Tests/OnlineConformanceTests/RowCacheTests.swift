import Datasets
import Testing

@testable import StoreRedis

/// The ring of kept rows beside a dictionary that keeps everything.
@Suite struct RowCacheTests {
    private struct Name: Hashable {
        var key: [UInt8]
        var command: UInt64
    }

    private struct Content: Equatable {
        var time: Int64
        /// `nil` for an entity that is not known.
        var values: [[UInt8]]?
    }

    private func find(_ cache: RowCache, _ name: Name) -> Content? {
        name.key.withUnsafeBytes { key -> Content? in
            cache.bring(key, ends: [key.count])
            guard let row = cache.find(0, key, name.command) else { return nil }
            // Words that are copied are the same row.
            let words = Array(row.words)
            return words.withUnsafeBufferPointer { words in
                let row = RowCache.Row(words: words.baseAddress!)
                var values: [[UInt8]] = []
                row.forEach { values.append(Array($1)) }
                return Content(time: row.time, values: row.isFound ? values : nil)
            }
        }
    }

    private func keep(_ cache: RowCache, _ name: Name, _ content: Content) {
        let values = content.values ?? []
        let starts = values.reduce(into: [0]) { $0.append($0.last! + $1.count) }
        name.key.withUnsafeBytes { key in
            values.flatMap { $0 }.withUnsafeBytes { bytes in
                cache.keep(
                    key, name.command, isFound: content.values != nil, time: content.time, valueCount: values.count
                ) { UnsafeRawBufferPointer(rebasing: bytes[starts[$0]..<starts[$0 + 1]]) }
            }
        }
    }

    @Test(arguments: [4096, 20_000, 1 << 20]) func whatIsFoundIsWhatWasKeptLast(bytes: Int) {
        var random = SeededGenerator(seed: UInt64(bytes))
        let cache = RowCache(bytes: bytes)
        var model: [Name: Content] = [:]
        var found = 0
        for step in 0..<60_000 {
            let length = Int.random(in: 0...9, using: &random)
            let key = (0..<length).map { _ in UInt8.random(in: 0...3, using: &random) }
            let name = Name(key: key, command: .random(in: 1...2, using: &random))
            switch Int.random(in: 0..<100, using: &random) {
            case 0..<45:
                if let content = find(cache, name) {
                    #expect(content == model[name])
                    found += 1
                }
            case 45..<90:
                let content = Content(
                    time: Int64(step),
                    values: Bool.random(using: &random)
                        ? nil
                        : (0..<Int.random(in: 0...4, using: &random)).map { _ in
                            Array(repeating: UInt8(step & 255), count: .random(in: 0...20, using: &random))
                        })
                // What is kept already stays.
                if find(cache, name) == nil { model[name] = content }
                keep(cache, name, content)
                #expect(find(cache, name) == model[name])
            case 90..<99:
                key.withUnsafeBytes { cache.remove($0) }
                for command in UInt64(1)...2 {
                    model[Name(key: key, command: command)] = nil
                    #expect(find(cache, Name(key: key, command: command)) == nil)
                }
            default:
                if step % 20 == 0 {
                    cache.removeAll()
                    model.removeAll()
                    #expect(cache.usedBytes == 0)
                }
            }
            #expect(cache.usedBytes <= max(bytes, 4096))
        }
        #expect(found > 500)
        #expect(bytes > 20_000 || cache.evicted > 0)
    }

    @Test func keysThatAreBroughtTogetherAreFoundByTheirNumbers() {
        let cache = RowCache(bytes: 1 << 20)
        let keys = (0..<UInt8(40)).map { number in Array(repeating: number, count: Int(number % 7) + 1) }
        for key in keys where key[0] % 2 == 0 {
            keep(cache, Name(key: key, command: 1), Content(time: Int64(key[0]), values: [[key[0]]]))
        }
        let ends = keys.reduce(into: []) { $0.append(($0.last ?? 0) + $1.count) }
        keys.flatMap { $0 }.withUnsafeBytes { cache.bring($0, ends: ends) }
        for (number, key) in keys.enumerated() {
            let time = key.withUnsafeBytes { cache.find(number, $0, 1)?.time }
            #expect(time == (key[0] % 2 == 0 ? Int64(key[0]) : nil))
        }
    }

    @Test func whatIsReadStaysLongerThanWhatIsNot() {
        let cache = RowCache(bytes: 20_000)
        let popular = Name(key: [1], command: 1)
        let content = Content(time: 1, values: [[1, 2, 3]])
        keep(cache, popular, content)
        for number in 0..<5000 {
            let key = withUnsafeBytes(of: number) { Array($0) }
            keep(cache, Name(key: key, command: 1), content)
            #expect(find(cache, popular) == content)
        }
        #expect(cache.evicted > 4000)
    }

    @Test func aRowThatIsTooLargeIsNotKept() {
        let cache = RowCache(bytes: 4096)
        let name = Name(key: [1], command: 1)
        keep(cache, name, Content(time: 1, values: [Array(repeating: 7, count: 300)]))
        #expect(find(cache, name) == nil)
        keep(cache, name, Content(time: 1, values: [Array(repeating: 7, count: 30)]))
        #expect(find(cache, name) != nil)
    }
}
