/// The Prometheus text format, version 0.0.4.
enum Exposition {
    /// `{name="value",…}` with the values escaped; empty without labels.
    static func labels(_ labels: [(String, String)]) -> String {
        if labels.isEmpty { return "" }
        return "{" + labels.map { "\($0.0)=\"\(escape($0.1))\"" }.joined(separator: ",") + "}"
    }

    /// The same with one label more.
    static func adding(_ name: String, _ value: String, to labels: String) -> String {
        labels.isEmpty ? "{\(name)=\"\(value)\"}" : "\(labels.dropLast()),\(name)=\"\(value)\"}"
    }

    static func header(_ name: String, _ help: String, _ type: String) -> String {
        let help = escape(help, quotes: false)
        return "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
    }

    /// A number as Prometheus reads it: whole ones without a fraction.
    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value > 0 ? "+Inf" : "-Inf" }
        if value == value.rounded(), abs(value) < 1e15 { return String(Int64(value)) }
        return "\(value)"
    }

    static func seconds(_ nanoseconds: Int) -> String { number(Double(nanoseconds) / 1e9) }

    static func histogram(_ name: String, _ labels: String, _ value: LatencyHistogram, to out: inout String) {
        var cumulative = 0
        for (index, count) in value.counts.enumerated() {
            cumulative += count
            out += "\(name)_bucket\(adding("le", LatencyBuckets.labels[index], to: labels)) \(cumulative)\n"
        }
        out += "\(name)_sum\(labels) \(seconds(value.sumNanoseconds))\n\(name)_count\(labels) \(cumulative)\n"
    }

    /// The objectives of Seldon's executor, over the life of the process.
    static func summary(_ name: String, _ labels: String, _ value: LatencyHistogram, to out: inout String) {
        for (text, quantile) in [("0.5", 0.5), ("0.75", 0.75), ("0.9", 0.9), ("0.98", 0.98), ("0.99", 0.99), ("1", 1)] {
            out += "\(name)\(adding("quantile", text, to: labels)) \(number(value.quantile(quantile)))\n"
        }
        out += "\(name)_sum\(labels) \(seconds(value.sumNanoseconds))\n\(name)_count\(labels) \(value.count)\n"
    }

    /// By scalars, not characters: a carriage return with its line feed is one character, and so is a quote with an
    /// accent behind it, and neither may end the value.
    private static func escape(_ value: String, quotes: Bool = true) -> String {
        var escaped = String.UnicodeScalarView()
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": escaped.append(contentsOf: "\\\\".unicodeScalars)
            case "\n": escaped.append(contentsOf: "\\n".unicodeScalars)
            case "\"" where quotes: escaped.append(contentsOf: "\\\"".unicodeScalars)
            default: escaped.append(scalar)
            }
        }
        return String(escaped)
    }
}
