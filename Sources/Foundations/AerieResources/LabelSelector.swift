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
            let differs = word.contains("!=")
            let sides = word.split(separator: "=", maxSplits: 2, omittingEmptySubsequences: false)
                .filter { !$0.isEmpty }
            guard var key = sides.first.map(String.init), sides.count <= 2 else {
                throw .invalid("labelSelector", "\"\(SchemaChecker.cut(word))\": write label=value, label!=value or label")
            }
            if differs { key.removeLast() }
            if let problem = NameRules.problem(labelKey: key) { throw .invalid("labelSelector", "\"\(key)\": \(problem)") }
            let value = sides.count == 2 ? String(sides[1]) : ""
            if let problem = NameRules.problem(labelValue: value) {
                throw .invalid("labelSelector", "\"\(value)\": \(problem)")
            }
            terms.append(differs ? .differs(key, value) : word.contains("=") ? .equals(key, value) : .exists(key))
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
