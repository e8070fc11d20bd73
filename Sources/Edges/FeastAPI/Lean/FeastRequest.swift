import AerieJSON
import Features

/// Where the parts of a `get-online-features` body lie. Nothing of it is built.
struct FeastRequest {
    var features = 0..<0
    var service = 0..<0
    var entities = 0..<0
    var usesFullNames = false
    var showsViews = false

    /// - Returns: `nil` for what only the general way answers, wrong bodies among it.
    static func scan(_ body: UnsafeRawBufferPointer) -> FeastRequest? {
        do throws(JSONError) { return try read(body) } catch { return nil }
    }

    private static func read(_ body: UnsafeRawBufferPointer) throws(JSONError) -> FeastRequest? {
        var request = FeastRequest()
        var seen = 0
        func isFirst(_ bit: Int) -> Bool {
            defer { seen |= 1 << bit }
            return seen & 1 << bit == 0
        }
        var reader = JSONReader(body)
        try reader.beginObject()
        while let key = try reader.nextKey() {
            if reader.matches(key, "entities") {
                guard isFirst(0), try reader.peek() == .object else { return nil }
                request.entities = try skip(&reader)
            } else if reader.matches(key, "features") {
                guard isFirst(1) else { return nil }
                if try reader.peek() == .null { try reader.readNull() } else { request.features = try skip(&reader) }
            } else if reader.matches(key, "feature_service") {
                guard isFirst(2) else { return nil }
                if try reader.peek() == .null { try reader.readNull() } else { request.service = try skip(&reader) }
            } else if reader.matches(key, "full_feature_names") {
                guard isFirst(3) else { return nil }
                request.usesFullNames = try flag(&reader)
            } else if reader.matches(key, "include_feature_view_version_metadata") {
                guard isFirst(4) else { return nil }
                request.showsViews = try flag(&reader)
            } else if reader.matches(key, "strict_statuses") {
                if try flag(&reader) { return nil }
            } else {
                try reader.skipValue()
            }
        }
        try reader.end()
        return request.entities.isEmpty ? nil : request
    }

    private static func skip(_ reader: inout JSONReader) throws(JSONError) -> Range<Int> {
        _ = try reader.peek()
        let start = reader.offset
        try reader.skipValue()
        return start..<reader.offset
    }

    private static func flag(_ reader: inout JSONReader) throws(JSONError) -> Bool {
        if try reader.peek() == .null {
            try reader.readNull()
            return false
        }
        return try reader.readBool()
    }

    /// Takes the entities' values.
    /// - Returns: false for what only the general way answers.
    func take(_ body: UnsafeRawBufferPointer, _ layout: OnlineLayout, into lookups: OnlineLookups) -> Bool {
        lookups.begin(layout)
        do throws(JSONError) {
            var reader = JSONReader(UnsafeRawBufferPointer(rebasing: body[entities]))
            try reader.beginObject()
            var seen: UInt64 = 0
            while let name = try reader.nextKey() {
                guard let place = Self.key(named: reader.raw(name), layout), place < 64, seen & 1 << UInt64(place) == 0,
                    try reader.peek() == .array
                else { return false }
                seen |= 1 << UInt64(place)
                guard try Self.takeColumn(&reader, place, layout.keys[place].type, lookups) else { return false }
            }
            guard seen.nonzeroBitCount == layout.keys.count else { return false }
        } catch { return false }
        return lookups.seal()
    }

    private static func takeColumn(
        _ reader: inout JSONReader, _ place: Int, _ type: FeatureType?, _ lookups: OnlineLookups
    ) throws(JSONError) -> Bool {
        try reader.beginArray()
        while try reader.nextElement() {
            switch try reader.peek() {
            case .number:
                guard lookups.append(try reader.readInt(), key: place, type: type) else { return false }
            case .string:
                let text = reader.raw(try reader.readText())
                guard text.allSatisfy({ $0 < 0x80 && $0 != UInt8(ascii: "\\") }),
                    lookups.append(text, key: place, type: type)
                else { return false }
            default: return false
            }
        }
        return true
    }

    /// A column is called like the join key, or like the entity.
    private static func key(named name: UnsafeRawBufferPointer, _ layout: OnlineLayout) -> Int? {
        for (place, key) in layout.keys.enumerated() where isEqual(key.name, name) { return place }
        for (place, key) in layout.keys.enumerated() where isEqual(key.entity, name) { return place }
        return nil
    }

    private static func isEqual(_ text: String, _ bytes: UnsafeRawBufferPointer) -> Bool {
        text.utf8.count == bytes.count && text.utf8.elementsEqual(bytes)
    }
}
