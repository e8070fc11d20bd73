import AerieCore
import AerieJSON
import AerieYAML

/// What a model's `MLmodel` file says of it.
struct ModelDescription: Equatable {
    struct Field: Equatable {
        var name: String
        /// Such as `double` or `float64[-1,4]`.
        var type: String
        var isRequired = true
    }

    /// The libraries that can load it, with their versions where they are said.
    var flavors: [(name: String, version: String)] = []
    /// `nil` without a signature.
    var inputs: [Field]?
    var outputs: [Field]?
    var params: [Field] = []
    /// The example's file, below the model's folder.
    var examplePath: String?
    var facts: [(String, String)] = []

    /// - Throws: `invalidArgument` for what is no YAML map.
    init(_ text: String) throws(AerieError) {
        guard let value = try YAMLDocument.parseAll(text, maximumNodes: 20_000).first?.value, let root = value.object
        else { throw .invalid("MLmodel", "holds no map") }
        for member in root["flavors"]?.object?.members ?? [] {
            let said = member.value.object?.members.first { $0.key.hasSuffix("_version") && $0.key != "py_version" }
            flavors.append((member.key, said.flatMap { Self.text($0.value) } ?? ""))
        }
        let signature = root["signature"]
        inputs = Self.fields(signature?["inputs"])
        outputs = Self.fields(signature?["outputs"])
        params = Self.fields(signature?["params"]) ?? []
        examplePath = root["saved_input_example_info"]?["artifact_path"]?.string
        let named = [
            ("model_id", "Model"), ("run_id", "Run"), ("utc_time_created", "Made"), ("mlflow_version", "MLflow"),
            ("model_size_bytes", "Size"),
        ]
        for (key, name) in named {
            guard let value = root[key].flatMap(Self.text) else { continue }
            facts.append((name, key == "model_size_bytes" ? Int64(value).map(Format.bytes) ?? value : value))
        }
        if let python = root["flavors"]?["python_function"]?["python_version"].flatMap(Self.text) {
            facts.append(("Python", python))
        }
    }

    static func == (a: Self, b: Self) -> Bool {
        a.inputs == b.inputs && a.outputs == b.outputs && a.params == b.params && a.examplePath == b.examplePath
            && a.flavors.elementsEqual(b.flavors, by: ==) && a.facts.elementsEqual(b.facts, by: ==)
    }

    private static func text(_ value: JSONValue) -> String? {
        if let text = value.string { return text }
        if let number = value.int { return String(number) }
        if let number = value.double { return String(number) }
        return nil
    }

    /// A signature's columns stand in the file as JSON within a string.
    private static func fields(_ value: JSONValue?) -> [Field]? {
        guard let text = value?.string, let list = (try? JSONValue.parse(text))?.array else { return nil }
        return list.enumerated().map { index, item in
            let name = item["name"]?.string ?? "column \(index + 1)"
            var type = item["type"]?.string ?? item["dtype"]?.string ?? ""
            if let spec = item["tensor-spec"] {
                let shape = (spec["shape"]?.array ?? []).map { $0.int.map(String.init) ?? "?" }.joined(separator: ",")
                type = (spec["dtype"]?.string ?? "tensor") + "[" + shape + "]"
            }
            return Field(name: name, type: type, isRequired: item["required"]?.bool ?? true)
        }
    }

    // MARK: As HTML

    func html() -> HTML {
        let pills = flavors.map { flavor -> HTML in
            "<span class=\"pill plain\">\(flavor.name)\(flavor.version.isEmpty ? "" : " " + flavor.version)</span> "
        }
        let about: [(String, HTML)] =
            [("Flavors", "\(pills)")] + facts.map { ($0.0, "<span class=\"mono\">\($0.1)</span>") }
            + (examplePath.map { [("Input example", "<span class=\"mono\">\($0)</span>")] } ?? [])
        return "<div class=\"panel\">\(Piece.facts(about))</div><h2>Signature</h2>\(signature())"
    }

    func signature() -> HTML {
        guard inputs != nil || outputs != nil else { return Piece.nothing("The model has no signature.") }
        let parts = [("Inputs", inputs ?? []), ("Outputs", outputs ?? []), ("Parameters", params)].map {
            title, fields -> HTML in
            guard !fields.isEmpty else { return "" }
            let rows = fields.prefix(300).map { field -> HTML in
                let optional: HTML = field.isRequired ? "" : " <span class=\"soft\">optional</span>"
                return "<tr><td>\(field.name)\(optional)</td><td class=\"mono\">\(field.type)</td></tr>"
            }
            return """
                <div class="panel flush"><div class="scroll"><table><thead><tr><th>\(title)</th><th>Type</th></tr></thead>\
                <tbody>\(rows)</tbody></table></div></div>
                """
        }
        return "<div class=\"wide top\">\(parts)</div>"
    }
}
