public import AerieCore

extension ArrowBatch {
    /// Whether every buffer is as long as the columns need it, so that the rows can be read without a further look.
    /// - Throws: `invalidArgument` with the column at fault; `unsupported` for a type that is not known.
    public func check(against schema: ArrowSchema) throws(AerieError) {
        var cursor = Cursor()
        for field in schema.fields { try check(field, length: length, &cursor) }
        guard cursor.node == nodes.count, cursor.buffer == buffers.count else {
            throw .invalid("", "the rows have \(nodes.count) columns and \(buffers.count) buffers, their schema others")
        }
    }

    private struct Cursor {
        var node = 0
        var buffer = 0
    }

    private func check(_ field: ArrowField, length: Int?, _ cursor: inout Cursor) throws(AerieError) {
        func wrong(_ what: String) -> AerieError { .invalid(field.name, "the column's \(what)") }
        guard let layout = ArrowLayout(format: field.format) else {
            throw AerieError(.unsupported, "column '\(field.name)' is of Arrow's type \(field.format), which is not read")
        }
        guard cursor.node < nodes.count, cursor.buffer + layout.bufferCount <= buffers.count else {
            throw wrong("buffers are missing")
        }
        let node = nodes[cursor.node]
        cursor.node += 1
        let own = buffers[cursor.buffer..<(cursor.buffer + layout.bufferCount)]
        cursor.buffer += layout.bufferCount
        if let length, node.length != length { throw wrong("length is \(node.length), not \(length)") }
        guard node.nullCount <= node.length else { throw wrong("count of nulls is larger than its length") }
        let bits = (node.length + 7) / 8
        if let validity = own.first, layout != .null, node.nullCount > 0, validity.count < bits {
            throw wrong("validity is cut short")
        }
        let rest = own.dropFirst()
        if let dictionary = field.dictionary {
            return try check(rest.first ?? 0..<0, own.first ?? 0..<0, node.length, of: dictionary, field)
        }
        switch layout {
        case .null, .nested: break
        case .bits: if (rest.first?.count ?? 0) < bits { throw wrong("values are cut short") }
        case .fixed(let width):
            if (rest.first?.count ?? 0) / max(width, 1) < (width == 0 ? 0 : node.length) {
                throw wrong("values are cut short")
            }
        case .variable(let width):
            let end = try offsets(rest.first ?? 0..<0, width, node.length, field)
            guard let place = rest.last, end <= Int64(place.count) else { throw wrong("text is cut short") }
            if field.format.lowercased() == "u", String(validating: body[place], as: UTF8.self) == nil {
                throw wrong("text is not UTF-8")
            }
        case .list(let width):
            let end = try offsets(rest.first ?? 0..<0, width, node.length, field)
            guard field.children.count == 1, cursor.node < nodes.count, end <= Int64(nodes[cursor.node].length) else {
                throw wrong("elements are cut short")
            }
        }
        var childLength: Int?
        if field.format == "+s" { childLength = node.length }
        if field.format.hasPrefix("+w:") {
            let (product, overflow) = (Int(field.format.dropFirst(3)) ?? 0).multipliedReportingOverflow(by: node.length)
            if overflow { throw wrong("elements are too many") }
            childLength = product
        }
        for child in field.children { try check(child, length: childLength, &cursor) }
    }

    /// Offsets must never go back, and begin at 0 or later.
    /// - Returns: the last.
    private func offsets(
        _ place: Range<Int>, _ width: Int, _ length: Int, _ field: ArrowField
    ) throws(AerieError) -> Int64 {
        if length == 0 { return 0 }
        guard place.count / width > length else { throw .invalid(field.name, "the column's offsets are cut short") }
        let last = body.withUnsafeBytes { raw -> Int64? in
            var before: Int64 = 0
            for index in 0...length {
                let at = place.lowerBound + index * width
                let offset =
                    width == 4
                    ? Int64(raw.loadUnaligned(fromByteOffset: at, as: Int32.self))
                    : raw.loadUnaligned(fromByteOffset: at, as: Int64.self)
                if offset < before { return nil }
                before = offset
            }
            return before
        }
        guard let last else { throw .invalid(field.name, "the column's offsets go back") }
        return last
    }

    /// Indices must be whole numbers that stand in the dictionary, where they are not null.
    private func check(
        _ place: Range<Int>, _ validity: Range<Int>, _ length: Int, of dictionary: ArrowDictionary, _ field: ArrowField
    ) throws(AerieError) {
        guard let values = dictionaries[dictionary.id] else {
            throw .invalid(field.name, "the column's dictionary \(dictionary.id) has not come")
        }
        try values.check(against: ArrowSchema(fields: dictionary.values))
        guard "csil".contains(field.format.lowercased()), case .fixed(let width)? = ArrowLayout(format: field.format),
            place.count / width >= length
        else { throw .invalid(field.name, "the column's indices are no whole numbers, or are cut short") }
        let hasNulls = !validity.isEmpty && validity.count >= (length + 7) / 8
        let isRight = body.withUnsafeBytes { raw in
            (0..<length).allSatisfy { row in
                if hasNulls, raw[validity.lowerBound + row >> 3] >> UInt8(row & 7) & 1 == 0 { return true }
                var index: UInt64 = 0
                for byte in 0..<width {
                    index |= UInt64(raw[place.lowerBound + row * width + byte]) << UInt64(8 * byte)
                }
                return index < UInt64(values.length)
            }
        }
        guard isRight else { throw .invalid(field.name, "the column has indices that are not in its dictionary") }
    }
}
