import AerieCore
public import AerieJSON

extension SavedDataset {
    public var json: JSONValue {
        var entities: JSONObject
        switch self.entities {
        case .file(let digest): entities = ["sha256": .string(digest)]
        case .range(let start, let end):
            entities = ["end": .string(FeatureTime.text(end))]
            if let start { entities["start"] = .string(FeatureTime.text(start)) }
        }
        return [
            "namespace": .string(namespace), "name": .string(name), "version": .int(Int64(version)),
            "created": .int(created.milliseconds), "actor": .string(actor), "rows": .int(rows),
            "bytes": .int(table.bytes), "sha256": .string(table.digest),
            "columns": .array(columns.map(Self.json)), "features": .array(features.map { .string($0) }),
            "references": .array(
                references.map { ["view": .string($0.view), "feature": .string($0.feature)] }),
            "service": service.map { .string($0) } ?? .null,
            "views": .array(
                views.map {
                    ["name": .string($0.name), "version": .int(Int64($0.version)), "source": .string($0.source)]
                }),
            "entities": .object(entities),
        ]
    }

    private static func json(_ column: Column) -> JSONValue {
        func number(_ value: Double?) -> JSONValue { value.map { $0.isFinite ? .double($0) : .null } ?? .null }
        return [
            "name": .string(column.name), "type": .string(column.type), "nulls": .int(column.nulls),
            "mean": number(column.mean), "deviation": number(column.deviation), "minimum": number(column.minimum),
            "maximum": number(column.maximum),
        ]
    }

    /// `nil` for what is no description of a dataset.
    init?(json: JSONValue) {
        guard let namespace = json["namespace"]?.string, let name = json["name"]?.string,
            let version = json["version"]?.int, let created = json["created"]?.int, let rows = json["rows"]?.int
        else { return nil }
        self.namespace = namespace
        self.name = name
        self.version = Int(version)
        self.created = Timestamp(milliseconds: created)
        actor = json["actor"]?.string ?? ""
        self.rows = rows
        table = ArchivedFile(bytes: json["bytes"]?.int ?? 0, digest: json["sha256"]?.string ?? "")
        columns = (json["columns"]?.array ?? []).map { column in
            Column(
                name: column["name"]?.string ?? "", type: column["type"]?.string ?? "",
                nulls: column["nulls"]?.int ?? 0, mean: column["mean"]?.double, deviation: column["deviation"]?.double,
                minimum: column["minimum"]?.double, maximum: column["maximum"]?.double)
        }
        features = json["features"]?.array?.compactMap(\.string) ?? []
        references = (json["references"]?.array ?? []).map {
            FeatureReference(view: $0["view"]?.string ?? "", feature: $0["feature"]?.string ?? "")
        }
        service = json["service"]?.string
        views = (json["views"]?.array ?? []).map {
            View(
                name: $0["name"]?.string ?? "", version: Int($0["version"]?.int ?? 0),
                source: $0["source"]?.string ?? "")
        }
        if let end = json["entities"]?["end"]?.string.flatMap(FeatureTime.parse) {
            entities = .range(start: json["entities"]?["start"]?.string.flatMap(FeatureTime.parse), end: end)
        } else {
            entities = .file(digest: json["entities"]?["sha256"]?.string ?? "")
        }
    }
}

extension SavedDataset {
    /// What differs from another one: its lineage by name, and the columns whose values are not the same in number or
    /// mean.
    public func comparison(with other: SavedDataset) -> JSONValue {
        func difference<Value: Equatable>(_ left: Value, _ right: Value, _ text: (Value) -> JSONValue) -> JSONValue? {
            left == right ? nil : ["from": text(left), "to": text(right)]
        }
        var object = JSONObject()
        object["rows"] = difference(rows, other.rows) { .int($0) }
        object["service"] = difference(service, other.service) { $0.map { .string($0) } ?? .null }
        object["entities"] = difference(entities, other.entities) {
            switch $0 {
            case .file(let digest): .string(digest)
            case .range(let start, let end):
                .string("\(start.map(FeatureTime.text) ?? "…")/\(FeatureTime.text(end))")
            }
        }
        object["sha256"] = difference(table.digest, other.table.digest) { .string($0) }
        let names = Set(views.map(\.name)).union(other.views.map(\.name)).sorted()
        let changed = names.compactMap { name -> JSONValue? in
            let (left, right) = (views.first { $0.name == name }, other.views.first { $0.name == name })
            guard left != right else { return nil }
            return [
                "name": .string(name), "from": left.map { .int(Int64($0.version)) } ?? .null,
                "to": right.map { .int(Int64($0.version)) } ?? .null,
            ]
        }
        if !changed.isEmpty { object["views"] = .array(changed) }
        object["columns"] = .array(Self.columns(columns, other.columns))
        return .object(object)
    }

    private static func columns(_ left: [Column], _ right: [Column]) -> [JSONValue] {
        var rows: [JSONValue] = []
        for column in left where !right.contains(column) {
            let other = right.first { $0.name == column.name }
            rows.append([
                "name": .string(column.name), "from": json(column), "to": other.map { json($0) } ?? .null,
            ])
        }
        for column in right where !left.contains(where: { $0.name == column.name }) {
            rows.append(["name": .string(column.name), "from": .null, "to": json(column)])
        }
        return rows
    }
}
