import AerieCore

/// Types between Arrow's two ways to write them: format strings of the C data interface, and tables of `Schema.fbs`.
enum ArrowTypeCoding {
    /// The first character after the kind of time: s, m, u, n.
    private static let units: [Character] = ["s", "m", "u", "n"]

    // MARK: Writing

    static func write(
        _ field: ArrowField, _ builder: inout FlatBufferBuilder
    ) throws(AerieError) -> FlatBufferBuilder.Place {
        guard field.dictionary == nil else {
            throw AerieError(.unsupported, "column '\(field.name)' has a dictionary; it is written with its values only")
        }
        var children: [FlatBufferBuilder.Place] = []
        for child in field.children { children.append(try write(child, &builder)) }
        let list = builder.vector(of: children)
        let (kind, type) = try write(type: field, &builder)
        let name = builder.text(field.name)
        return builder.table([
            .place(name), .bool(field.isNullable), .byte(kind), .place(type), .none, .place(list),
        ])
    }

    private static func write(
        type field: ArrowField, _ builder: inout FlatBufferBuilder
    ) throws(AerieError) -> (UInt8, FlatBufferBuilder.Place) {
        let format = field.format
        if let (kind, fields) = plain[format] { return (kind, builder.table(fields)) }
        let argument = format.firstIndex(of: ":").map { String(format[format.index(after: $0)...]) } ?? ""
        let numbers = argument.split(separator: ",").map { Int32($0) ?? 0 }
        let unit = format.dropFirst(2).first.flatMap { units.firstIndex(of: $0) }.map { Int16($0) } ?? 0
        if format.hasPrefix("ts") {
            let zone: FlatBufferBuilder.Field = argument.isEmpty ? .none : .place(builder.text(argument))
            return (10, builder.table([.short(unit), zone]))
        }
        if format.hasPrefix("d:"), numbers.count >= 2 {
            return (7, builder.table([.int(numbers[0]), .int(numbers[1]), .int(numbers.count > 2 ? numbers[2] : 128)]))
        }
        if format.hasPrefix("w:"), let width = numbers.first { return (15, builder.table([.int(width)])) }
        if format.hasPrefix("+w:"), let size = numbers.first { return (16, builder.table([.int(size)])) }
        throw AerieError(.unsupported, "column '\(field.name)' is of Arrow's type \(format), which is not written")
    }

    /// Formats without arguments -> the number of the type in the union `Type`, and its fields.
    private static let plain: [String: (UInt8, [FlatBufferBuilder.Field])] = {
        var types: [String: (UInt8, [FlatBufferBuilder.Field])] = [
            "n": (1, []), "e": (3, [.short(0)]), "f": (3, [.short(1)]), "g": (3, [.short(2)]), "z": (4, []), "u": (5, []),
            "b": (6, []), "tdD": (8, [.short(0)]), "tdm": (8, [.short(1)]), "tiM": (11, [.short(0)]),
            "tiD": (11, [.short(1)]), "tin": (11, [.short(2)]), "+l": (12, []), "+s": (13, []), "+m": (17, []),
            "Z": (19, []), "U": (20, []), "+L": (21, []),
        ]
        for (letter, bits) in [("c", 8), ("s", 16), ("i", 32), ("l", 64)] as [(String, Int32)] {
            types[letter] = (2, [.int(bits), .bool(true)])
            types[letter.uppercased()] = (2, [.int(bits), .bool(false)])
        }
        for (place, unit) in units.enumerated() {
            types["tt\(unit)"] = (9, [.short(Int16(place)), .int(place < 2 ? 32 : 64)])
            types["tD\(unit)"] = (18, [.short(Int16(place))])
        }
        return types
    }()

    // MARK: Reading

    private static let maximumDepth = 32
    private static let maximumFields = 100_000

    /// The fields of a `Schema`. Nesting and number are limited, as a small message can point to one field many times.
    static func read(_ tables: [FlatTable]) throws(AerieError) -> [ArrowField] {
        var left = maximumFields
        return try read(tables, depth: 0, &left)
    }

    private static func read(
        _ tables: [FlatTable], depth: Int, _ left: inout Int
    ) throws(AerieError) -> [ArrowField] {
        left -= tables.count
        guard depth < maximumDepth, left >= 0 else {
            throw AerieError(
                .resourceExhausted,
                "the table has more than \(maximumFields) columns, or nests them deeper than \(maximumDepth)")
        }
        var fields: [ArrowField] = []
        for table in tables { fields.append(try read(table, depth: depth, &left)) }
        return fields
    }

    private static func read(
        _ table: FlatTable, depth: Int, _ left: inout Int
    ) throws(AerieError) -> ArrowField {
        let name = try table.text(0) ?? ""
        var field = ArrowField(name: name, format: "", isNullable: try table.flag(1))
        field.format = try format(table, name)
        field.children = try read(try table.tables(5), depth: depth + 1, &left)
        if let dictionary = try table.table(4) {
            var values = field
            values.name = ""
            values.isNullable = true
            field.dictionary = ArrowDictionary(id: try dictionary.number(0, default: Int64(0)), values: values)
            field.children = []
            field.format = try dictionary.table(1).map { index throws(AerieError) in try whole(index, name) } ?? "i"
        }
        return field
    }

    private static func whole(_ type: FlatTable, _ name: String) throws(AerieError) -> String {
        let letters: [Int32: String] = [8: "c", 16: "s", 32: "i", 64: "l"]
        guard let letter = letters[try type.number(0, default: Int32(0))] else {
            throw .invalid(name, "the column is of whole numbers of an unknown width")
        }
        return try type.flag(1) ? letter : letter.uppercased()
    }

    private static func unit(_ type: FlatTable, default value: Int16, _ name: String) throws(AerieError) -> Character {
        let unit = Int(try type.number(0, default: value))
        guard units.indices.contains(unit) else { throw .invalid(name, "the column is of an unknown unit of time") }
        return units[unit]
    }

    private static func format(_ field: FlatTable, _ name: String) throws(AerieError) -> String {
        let kind = try field.number(2, default: UInt8(0))
        guard let type = try field.table(3) else { throw .invalid(name, "the column has no type") }
        let constant: [UInt8: String] = [
            1: "n", 4: "z", 5: "u", 6: "b", 12: "+l", 13: "+s", 17: "+m", 19: "Z", 20: "U", 21: "+L",
        ]
        if let format = constant[kind] { return format }
        switch kind {
        case 2: return try whole(type, name)
        case 3:
            let precision = Int(try type.number(0, default: Int16(0)))
            guard let letter = ["e", "f", "g"].dropFirst(precision).first, precision >= 0 else {
                throw .invalid(name, "the column is of numbers of an unknown precision")
            }
            return letter
        case 7:
            let bits = try type.number(2, default: Int32(128))
            let numbers = "\(try type.number(0, default: Int32(0))),\(try type.number(1, default: Int32(0)))"
            return "d:\(numbers)" + (bits == 128 ? "" : ",\(bits)")
        case 8: return try type.number(0, default: Int16(1)) == 0 ? "tdD" : "tdm"
        case 9: return "tt\(try unit(type, default: 1, name))"
        case 10: return "ts\(try unit(type, default: 0, name)):\(try type.text(1) ?? "")"
        case 11: return ["tiM", "tiD", "tin"][min(max(Int(try type.number(0, default: Int16(0))), 0), 2)]
        case 15: return "w:\(try type.number(0, default: Int32(0)))"
        case 16: return "+w:\(try type.number(0, default: Int32(0)))"
        case 18: return "tD\(try unit(type, default: 1, name))"
        default:
            throw AerieError(.unsupported, "column '\(name)' is of Arrow's type number \(kind), which is not read")
        }
    }
}
