/// The lines in which two texts differ, in the form that `diff -u` and reviewers use.
public enum UnifiedDiff {
    /// Empty if the texts are equal. Cost: the product of the two counts of lines, which are limited to 4,000 each;
    /// longer texts are shown as wholly replaced.
    public static func text(
        from old: String, to new: String, oldName: String, newName: String, context: Int = 3
    ) -> String {
        guard old != new else { return "" }
        let changes = changes(lines(old), lines(new))
        var out = "--- \(oldName)\n+++ \(newName)\n"
        var at = 0
        while let start = changes[at...].firstIndex(where: { $0.mark != " " }) {
            let from = max(at, start - context)
            var end = start
            var quiet = 0
            while end < changes.count, quiet <= 2 * context {
                quiet = changes[end].mark == " " ? quiet + 1 : 0
                end += 1
            }
            end -= max(0, quiet - context)
            out += hunk(changes[..<from], changes[from..<end])
            at = end
        }
        return out
    }

    private struct Change {
        var mark: Character
        var line: Substring
    }

    private static func lines(_ text: String) -> [Substring] {
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    private static func hunk(_ before: ArraySlice<Change>, _ hunk: ArraySlice<Change>) -> String {
        func range(_ skipped: Character) -> String {
            let start = before.count { $0.mark != skipped }
            let count = hunk.count { $0.mark != skipped }
            return "\(count == 0 ? start : start + 1),\(count)"
        }
        var out = "@@ -\(range("+")) +\(range("-")) @@\n"
        for change in hunk { out += "\(change.mark)\(change.line)\n" }
        return out
    }

    /// By the table of longest common subsequences; removals stand before additions.
    private static func changes(_ old: [Substring], _ new: [Substring]) -> [Change] {
        guard old.count <= 4000, new.count <= 4000 else {
            return old.map { Change(mark: "-", line: $0) } + new.map { Change(mark: "+", line: $0) }
        }
        let width = new.count + 1
        var longest = [Int32](repeating: 0, count: (old.count + 1) * width)
        for i in stride(from: old.count - 1, through: 0, by: -1) {
            for j in stride(from: new.count - 1, through: 0, by: -1) {
                longest[i * width + j] = old[i] == new[j]
                    ? longest[(i + 1) * width + j + 1] + 1
                    : max(longest[(i + 1) * width + j], longest[i * width + j + 1])
            }
        }
        var result: [Change] = []
        var (i, j) = (0, 0)
        while i < old.count || j < new.count {
            if i < old.count, j < new.count, old[i] == new[j] {
                result.append(Change(mark: " ", line: old[i]))
                (i, j) = (i + 1, j + 1)
            } else if i < old.count, j == new.count || longest[(i + 1) * width + j] >= longest[i * width + j + 1] {
                result.append(Change(mark: "-", line: old[i]))
                i += 1
            } else {
                result.append(Change(mark: "+", line: new[j]))
                j += 1
            }
        }
        return result
    }
}
