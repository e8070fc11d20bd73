import AerieCore

/// Names for runs that were given none, such as `brisk-heron-417`.
enum RunNames {
    private static let adjectives = [
        "amber", "bold", "brisk", "calm", "clear", "crisp", "deft", "early", "fair", "fleet", "fond", "glad", "grand",
        "keen", "kind", "light", "lively", "lucid", "merry", "mild", "neat", "noble", "proud", "quick", "quiet",
            "rapid",
        "sharp", "sleek", "steady", "sunny", "swift", "vivid", "warm", "wise",
    ]
    private static let birds = [
        "avocet", "bittern", "condor", "crane", "curlew", "dipper", "dunlin", "eagle", "egret", "falcon", "finch",
        "gannet", "goshawk", "grebe", "harrier", "heron", "hobby", "ibis", "kestrel", "kite", "lark", "linnet",
            "martin",
        "merlin", "osprey", "owl", "petrel", "pipit", "plover", "puffin", "raven", "swift", "tern", "wren",
    ]

    static func name(_ source: IdentifierSource) -> String {
        let digits = Array(source.short(6).utf8).map(Int.init)
        func pick(_ list: [String], _ a: Int, _ b: Int) -> String { list[(digits[a] * 36 + digits[b]) % list.count] }
        return "\(pick(adjectives, 0, 1))-\(pick(birds, 2, 3))-\(100 + (digits[4] * 36 + digits[5]) % 900)"
    }
}
