import AerieJSON

/// Changes to a JSON value that leave it JSON.
struct JSONMutator {
    let dictionary: [[UInt8]]

    /// `nil` if the bytes are no JSON.
    func change(_ bytes: [UInt8], _ other: [UInt8], _ random: inout FuzzRandom) -> [UInt8]? {
        guard var value = try? JSONValue.parse(bytes) else { return nil }
        let donor = (try? JSONValue.parse(other)) ?? value
        for _ in 0..<(1 + random.below(3)) {
            var place = random.below(Self.count(value))
            value = replace(value, &place) { change($0, donor, &random) }
        }
        return value.utf8()
    }

    private static func count(_ value: JSONValue) -> Int {
        switch value {
        case .array(let list): list.reduce(1) { $0 + count($1) }
        case .object(let object): object.members.reduce(1) { $0 + count($1.value) }
        default: 1
        }
    }

    /// The value with its node at `place`, counted from the root downwards, changed. Afterwards `place` is negative.
    private func replace(
        _ value: JSONValue, _ place: inout Int, _ change: (JSONValue) -> JSONValue
    ) -> JSONValue {
        if place <= 0 {
            defer { place = -1 }
            return place == 0 ? change(value) : value
        }
        place -= 1
        switch value {
        case .array(var list):
            for index in list.indices where place >= 0 { list[index] = replace(list[index], &place, change) }
            return .array(list)
        case .object(var object):
            for index in object.members.indices where place >= 0 {
                object.members[index].value = replace(object.members[index].value, &place, change)
            }
            return .object(object)
        default: return value
        }
    }

    private func change(_ value: JSONValue, _ donor: JSONValue, _ random: inout FuzzRandom) -> JSONValue {
        switch (value, random.below(8)) {
        case (_, 0): return scalar(&random)
        case (_, 1):
            var nested = value
            for _ in 0..<(random.isOnce(in: 4) ? random.below(600) : 1 + random.below(3)) { nested = .array([nested]) }
            return nested
        case (_, 2):
            var place = random.below(Self.count(donor))
            var found = value
            _ = replace(donor, &place) { node in
                found = node
                return node
            }
            return found
        case (.array(let list), _): return .array(change(list, &random))
        case (.object(let object), _): return .object(change(object, &random))
        case (.int(let number), 3): return .int(number &+ Int64(random.below(5) - 2))
        case (.int(let number), 4): return .double(Double(number) + 0.5)
        case (.string(let text), 3):
            let most = min(300, 1 + 8000 / (1 + text.utf8.count))
            return .string(String(repeating: text, count: 1 + random.below(most)))
        case (.string(let text), 4): return .string(String(text.dropLast(1 + random.below(3))))
        default: return scalar(&random)
        }
    }

    private func change(_ list: [JSONValue], _ random: inout FuzzRandom) -> [JSONValue] {
        guard !list.isEmpty else { return [scalar(&random)] }
        var list = list
        let at = random.below(list.count)
        switch random.below(6) {
        case 0: list.remove(at: at)
        case 1: list.insert(list[at], at: at)
        case 2:
            // What was repeated before is not repeated as often again, or a value of a few bytes fills the memory.
            let most = 1 + 2000 / Self.count(list[at])
            list.append(contentsOf: Array(repeating: list[at], count: random.below(min(most, 300))))
        case 3: list[at] = scalar(&random)
        case 4: list.swapAt(at, random.below(list.count))
        default: list = []
        }
        return list
    }

    private func change(_ object: JSONObject, _ random: inout FuzzRandom) -> JSONObject {
        var members = object.members
        guard !members.isEmpty else { return JSONObject([(word(&random), scalar(&random))]) }
        let at = random.below(members.count)
        switch random.below(6) {
        case 0: members.remove(at: at)
        case 1: members.append(members[at])
        case 2: members[at].key = word(&random)
        case 3: members.swapAt(at, random.below(members.count))
        case 4: members.append(.init(key: word(&random), value: members[at].value))
        default: members.append(.init(key: members[at].key, value: scalar(&random)))
        }
        var object = JSONObject()
        object.members = members
        return object
    }

    private func word(_ random: inout FuzzRandom) -> String {
        dictionary.isEmpty ? "x" : String(decoding: random.pick(dictionary), as: UTF8.self)
    }

    private func scalar(_ random: inout FuzzRandom) -> JSONValue {
        switch random.below(10) {
        case 0: .null
        case 1: .bool(random.isOnce(in: 2))
        case 2, 3, 4: .int(random.pick(ByteMutator.interestingNumbers))
        case 5: .double([0.5, -0.0, 1e300, 5e-324, 1e20, -1.5][random.below(6)])
        case 6: .array([])
        case 7: .object(JSONObject())
        default: .string(["", "\0", "ä€😀", "\\\"\n\u{7f}", "NaN", word(&random), word(&random)][random.below(7)])
        }
    }
}
