public import AerieCore

/// The kinds that this process knows, and every name by which a user may call them.
public struct KindRegistry: Sendable {
    /// In the order in which they were given.
    public let all: [any ResourceKind]
    private let byName: [String: Int]
    /// Shapes of text that mean objects of these kinds.
    let foreign: [any ForeignManifest]

    /// - Precondition: no two kinds share a name or an alias; that is a mistake of the program's.
    public init(_ kinds: [any ResourceKind], foreign: [any ForeignManifest] = []) {
        all = kinds
        self.foreign = foreign
        var byName: [String: Int] = [:]
        for (index, kind) in kinds.enumerated() {
            for name in Self.words(of: kind) {
                precondition(byName[name] == nil || byName[name] == index, "two kinds answer to \(name)")
                byName[name] = index
            }
        }
        for (index, kind) in kinds.enumerated() {
            for alias in kind.aliases {
                let plural = Self.plural(alias.lowercased())
                if byName[plural] == nil { byName[plural] = index }
            }
        }
        self.byName = byName
    }

    /// The kind as it is written in a manifest, capitals and all.
    public func kind(named name: String) -> (any ResourceKind)? { all.first { $0.name == name } }

    /// The kind for a word from the command line or a URL: its name in any case, its plural or one of its aliases.
    /// - Throws: `notFound` with the nearest known name.
    public func resolve(_ word: String) throws(AerieError) -> any ResourceKind {
        if let index = byName[word.lowercased()] { return all[index] }
        // A group may stand behind the name, as in `seldondeployments.machinelearning.seldon.io`.
        if let dot = word.firstIndex(of: "."), let index = byName[word[..<dot].lowercased()] { return all[index] }
        let hint = NearestName.of(word, among: byName.keys.sorted()).map { "; did you mean \"\($0)\"?" }
        let known = "; known are " + all.map(\.name).sorted().joined(separator: ", ")
        throw AerieError(
            .notFound, "there is no kind \"\(SchemaChecker.cut(word))\"\(hint ?? known)", reason: "kind.unknown")
    }

    /// The kind's name in any case, its plural, and its aliases; all lowercase.
    static func words(of kind: any ResourceKind) -> [String] {
        let name = kind.name.lowercased()
        return [name, plural(name)] + kind.aliases.map { $0.lowercased() }
    }

    static func plural(_ name: String) -> String {
        if name.hasSuffix("y"), let before = name.dropLast().last, !"aeiou".contains(before) {
            return name.dropLast() + "ies"
        }
        return name.hasSuffix("s") ? name + "es" : name + "s"
    }
}
