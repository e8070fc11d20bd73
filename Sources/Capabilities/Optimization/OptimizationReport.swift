public import AerieJSON

/// What was tried, measured and chosen.
public struct OptimizationReport: Sendable {
    public struct Variant: Sendable {
        public var name: String
        public var path: String?
        public var bytes: Int64 = 0
        public var speed: VariantSpeed?
        public var parity: OutputParity?
        /// Why it is not there, or not near enough.
        public var problem = ""
        /// The model as Aerie serves it without any of this.
        public var isBaseline = false

        public init(name: String, path: String? = nil) {
            self.name = name
            self.path = path
        }
    }

    public var model: String
    public var kind: String
    public var rows: Int
    public var calibrationRows: Int
    /// Rows a second of the model's own library in Python, all at once.
    public var libraryRowsPerSecond: Double?
    public var variants: [Variant]
    /// The chosen variant's name; `nil` if the model stays as it is.
    public var chosen: String?
    public var rule: OptimizationRule
    /// The processor, by the system's word.
    public var machine: String

    public func json() -> JSONValue {
        let variants = variants.map { variant -> JSONValue in
            var object: JSONObject = ["name": .string(variant.name), "is_baseline": .bool(variant.isBaseline)]
            if variant.bytes > 0 { object["bytes"] = .int(variant.bytes) }
            if let speed = variant.speed {
                object["rows_per_second"] = .double(speed.rowsPerSecond)
                object["batch"] = .int(Int64(speed.batch))
                object["p50_seconds"] = .double(speed.p50)
                object["p99_seconds"] = .double(speed.p99)
            }
            object["parity"] = variant.parity?.json()
            if !variant.problem.isEmpty { object["problem"] = .string(variant.problem) }
            return .object(object)
        }
        return [
            "model": .string(model), "kind": .string(kind), "held_out_rows": .int(Int64(rows)),
            "calibration_rows": .int(Int64(calibrationRows)), "machine": .string(machine),
            "library_rows_per_second": libraryRowsPerSecond.map { .double($0) } ?? .null,
            "chosen": chosen.map { .string($0) } ?? .null, "rule": .string(rule.words),
            "goal": .string(rule.goal.rawValue), "variants": .array(variants),
        ]
    }

    public func markdown() -> String {
        var text = "# Optimization of \(model)\n\n"
        text += chosen.map { "Chosen: **\($0)**.\n\n" } ?? "The model stays as it is: no variant gains enough.\n\n"
        text += "\(rule.words)\n\nA model of \(kind), \(rows) held-out rows, \(calibrationRows) for calibration. "
        text += "Measured in process on one thread of \(machine)."
        if let rate = libraryRowsPerSecond {
            text += " Its own library in Python: \(OptimizationRule.short(rate)) rows/s, all rows at once."
        }
        text += "\n\n| variant | rows/s | P50 µs, one row | P99 µs, one row | KiB | greatest difference | labels % | |\n"
        text += "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |\n"
        for row in rowsOfText() { text += "| " + row.joined(separator: " | ") + " |\n" }
        return text
    }

    public static let titles = [
        "variant", "rows/s", "p50 us", "p99 us", "KiB", "max difference", "labels %", "note",
    ]

    /// A row of text for each variant, in the order of `titles`.
    public func rowsOfText() -> [[String]] {
        variants.map { variant in
            let name = variant.name + (variant.name == chosen ? " (chosen)" : variant.isBaseline ? " (as it is)" : "")
            let short = OptimizationRule.short
            return [
                name, variant.speed.map { short($0.rowsPerSecond) } ?? "-",
                variant.speed.map { short($0.p50 * 1e6) } ?? "-", variant.speed.map { short($0.p99 * 1e6) } ?? "-",
                variant.bytes > 0 ? short(Double(variant.bytes) / 1024) : "-",
                variant.parity.map { short($0.maximumDifference) } ?? "-",
                variant.parity?.labelAgreement.map { short($0 * 100) } ?? "-", variant.problem,
            ]
        }
    }
}
