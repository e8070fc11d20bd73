public import AerieCore

/// Chooses objects by their labels: `app=fraud,tier!=test,owner`. All terms must hold.
public struct LabelSelector: Sendable, Hashable {
    private enum Term: Sendable, Hashable {
        case equals(String, String), differs(String, String), exists(String)
    }

    private let terms: [Term]

    /// - Throws: `invalidArgument` naming the term that is wrong.
    public init(_ text: String) throws(AerieError) {
        var terms: [Term] = []
        for part in text.split(separator: ",") {
            let word = part.filter { $0 != " " }
            let sign = ["!=", "==", "="].first { word.contains($0) }
            let sides = sign.map { word.split(separator: $0, omittingEmptySubsequences: false) } ?? [word[...]]
            guard let first = sides.first, !first.isEmpty, sides.count <= 2 else {
                throw .invalid(
                    "labelSelector", "\"\(SchemaChecker.cut(word))\": write label=value, label!=value or label")
            }
            let key = String(first)
            if let problem = NameRules.problem(labelKey: key) {
                throw .invalid("labelSelector", "\"\(key)\": \(problem)")
            }
            let value = sides.count == 2 ? String(sides[1]) : ""
            if let problem = NameRules.problem(labelValue: value) {
                throw .invalid("labelSelector", "\"\(value)\": \(problem)")
            }
            switch sign {
            case nil: terms.append(.exists(key))
            case "!=": terms.append(.differs(key, value))
            default: terms.append(.equals(key, value))
            }
        }
        self.terms = terms
    }

    public func matches(_ labels: [String: String]) -> Bool {
        terms.allSatisfy { term in
            switch term {
            case .equals(let key, let value): labels[key] == value
            case .differs(let key, let value): labels[key] != value
            case .exists(let key): labels[key] != nil
            }
        }
    }
}
