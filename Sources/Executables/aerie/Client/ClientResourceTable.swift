import AerieCore
import AerieJSON
import AerieResources

/// The table in which objects of one kind are shown: the kind itself says what stands between name and age.
struct ResourceTable: Sendable {
    var columns: [(title: String, path: String)]
    var showsNamespace = false
    var isWide = false

    static func fetch(
        kind: String, client: PlatformClient, showsNamespace: Bool, isWide: Bool
    ) async throws(AerieError) -> ResourceTable {
        let kinds = try await client.get("/api/v1/kinds")["kinds"]?.array ?? []
        let columns = kinds.first { $0["name"]?.string == kind }?["columns"]?.array ?? []
        return ResourceTable(
            columns: columns.map { ($0["title"]?.string ?? "", $0["path"]?.string ?? "") },
            showsNamespace: showsNamespace, isWide: isWide)
    }

    func text(_ items: [JSONValue], now: Timestamp) -> String {
        ClientOutput.table(titles, items.map { row($0, now: now) })
    }

    var titles: [String] {
        (showsNamespace ? ["NAMESPACE"] : []) + ["NAME"] + columns.map { $0.title.uppercased() } + ["READY", "AGE"]
            + (isWide ? ["GENERATION", "LABELS", "MESSAGE"] : [])
    }

    func row(_ item: JSONValue, now: Timestamp) -> [String] {
        let metadata = item["metadata"]
        var cells = showsNamespace ? [metadata?["namespace"]?.string ?? ""] : []
        cells.append(metadata?["name"]?.string ?? "")
        cells += columns.map { Self.cell(item.value(at: $0.path)) }
        let ready = item["status"]?["conditions"]?.array?.first { $0["type"]?.string == "Ready" }
        cells.append(ready?["status"]?.string ?? "Unknown")
        let created = metadata?["creationTimestamp"]?.string.flatMap { Timestamp(iso8601: $0) }
        cells.append(ClientOutput.age(of: created, now: now))
        if isWide {
            let labels = metadata?["labels"]?.object?.members.map { "\($0.key)=\($0.value.string ?? "")" } ?? []
            cells.append(Self.cell(metadata?["generation"]))
            cells.append(labels.isEmpty ? "<none>" : labels.joined(separator: ","))
            cells.append(ready?["message"]?.string.flatMap { $0.isEmpty ? nil : $0 } ?? "-")
        }
        return cells
    }

    private static func cell(_ value: JSONValue?) -> String {
        switch value {
        case nil, .null: "-"
        case .string(let text): text.isEmpty ? "-" : text.replacingNewlines
        case .array(let elements): "\(elements.count)"
        case .some(let value): value.text()
        }
    }
}

extension String {
    fileprivate var replacingNewlines: String { String(map { $0.isNewline ? " " : $0 }) }
}
