/// What may stand in names and labels: the rules of Kubernetes, so that a manifest is right in both places.
public enum NameRules {
    /// What is wrong with an object's name; `nil` if nothing is.
    /// - Parameter allowsUnderscores: for kinds whose names come from elsewhere, where `_` and capitals are usual.
    public static func problem(name: String, allowsUnderscores: Bool = false) -> String? {
        guard !name.isEmpty else { return "is empty" }
        guard name.utf8.count <= 253 else { return "has \(name.utf8.count) characters; at most 253 are allowed" }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.allSatisfy({ isLabel($0, allowsUnderscores: allowsUnderscores) }) else {
            let marks = allowsUnderscores ? "letters, digits, '-', '_' and '.'" : "lowercase letters, digits, '-' and '.'"
            return "\"\(SchemaChecker.cut(name))\" may hold only \(marks), "
                + "and must begin and end with a letter or digit" + suggestion(name)
        }
        return nil
    }

    /// What is wrong with a namespace; `nil` if nothing is. Capitals and `_` may stand in one, unlike in Kubernetes: a
    /// project of Feast is a namespace, and the deployments that read its features stand beside them.
    public static func problem(namespace: String) -> String? {
        guard !namespace.isEmpty else { return "is empty" }
        guard namespace.utf8.count <= 63 else {
            return "has \(namespace.utf8.count) characters; at most 63 are allowed"
        }
        guard isLabel(namespace[...], allowsUnderscores: true) else {
            return "\"\(namespace)\" may hold only letters, digits, '_' and '-', "
                + "and must begin and end with a letter or digit" + suggestion(namespace)
        }
        return nil
    }

    /// A label's or annotation's key: `name` or `example.com/name`.
    public static func problem(labelKey key: String) -> String? {
        let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, let problem = problem(name: String(parts[0])) { return "the prefix \(problem)" }
        guard let name = parts.last, isQualified(name), !name.isEmpty else {
            return "the key must be at most 63 letters, digits, '-', '_' and '.', with an optional prefix and '/'"
        }
        return nil
    }

    public static func problem(labelValue value: String) -> String? {
        isQualified(value[...]) ? nil : "the value must be at most 63 letters, digits, '-', '_' and '.'"
    }

    private static func isQualified(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return true }
        return text.utf8.count <= 63 && isAlphanumeric(first) && isAlphanumeric(last)
            && text.utf8.allSatisfy { isAlphanumeric($0) || "-_.".utf8.contains($0) }
    }

    private static func isLabel(_ text: Substring, allowsUnderscores: Bool = false) -> Bool {
        guard let first = text.utf8.first, let last = text.utf8.last else { return false }
        func isAllowed(_ byte: UInt8) -> Bool {
            isAlphanumeric(byte) && (allowsUnderscores || !(byte >= 0x41 && byte <= 0x5a))
        }
        return isAllowed(first) && isAllowed(last) && text.utf8.allSatisfy { byte in
            isAllowed(byte) || byte == UInt8(ascii: "-") || (allowsUnderscores && byte == UInt8(ascii: "_"))
        }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (byte >= 0x30 && byte <= 0x39) || (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a)
    }

    private static func suggestion(_ name: String) -> String {
        let mended = name.lowercased().map { $0 == "_" || $0 == " " ? "-" : $0 }
        let text = String(mended)
        guard text != name, text.split(
            separator: ".", omittingEmptySubsequences: false).allSatisfy({ isLabel($0) }) else {
            return ""
        }
        return "; try \"\(SchemaChecker.cut(text))\""
    }
}
