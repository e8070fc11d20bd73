import AerieCore

/// A node's parameters by name, read as what the node wants them to be.
struct NodeParameters: Sendable, Hashable {
    let values: [String: String]

    init(_ values: [String: String]) { self.values = values }

    subscript(name: String) -> String? { values[name] }

    func number(_ name: String, or usual: Double?, in range: ClosedRange<Double>) throws(AerieError) -> Double {
        guard let text = values[name] else {
            if let usual { return usual }
            throw .invalid("parameters.\(name)", "is required")
        }
        guard let number = Double(text), range.contains(number) else {
            throw .invalid(
                "parameters.\(name)", "\"\(text)\" is no number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    /// Numbers between commas; `nil` where the parameter is not there.
    func numbers(_ name: String) throws(AerieError) -> [Double]? {
        guard let text = values[name] else { return nil }
        var numbers: [Double] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let number = Double(part.filter { $0 != " " && $0 != "[" && $0 != "]" }), !number.isNaN else {
                throw .invalid("parameters.\(name)", "\"\(text)\" is no list of numbers between commas")
            }
            numbers.append(number)
        }
        return numbers
    }

    /// Words between commas; `nil` where the parameter is not there.
    func words(_ name: String) throws(AerieError) -> [String]? {
        guard let text = values[name] else { return nil }
        let words = text.split(separator: ",", omittingEmptySubsequences: false).map { part in
            String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        guard words.allSatisfy({ !$0.isEmpty }) else {
            throw .invalid("parameters.\(name)", "\"\(text)\" is no list of names between commas")
        }
        return words
    }

    func flag(_ name: String) throws(AerieError) -> Bool {
        switch values[name]?.lowercased() {
        case nil, "false": return false
        case "true": return true
        case let text?: throw .invalid("parameters.\(name)", "\"\(text)\" is neither true nor false")
        }
    }

    func seed() throws(AerieError) -> UInt64? {
        guard let text = values["seed"] else { return nil }
        guard let seed = UInt64(text) else { throw .invalid("parameters.seed", "\"\(text)\" is no whole number") }
        return seed
    }
}
