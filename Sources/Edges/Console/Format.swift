import AerieCore

/// How the console writes numbers and times.
enum Format {
    /// Four significant digits, without an exponent where that stays short.
    static func number(_ value: Double) -> String {
        guard value.isFinite else { return value.isNaN ? "NaN" : value < 0 ? "-∞" : "∞" }
        if value == value.rounded(), abs(value) < 1e6 { return String(Int(value)) }
        let magnitude = abs(value)
        if magnitude >= 1e6 || magnitude < 1e-4 { return scientific(value) }
        let digits = max(0, min(8, 3 - Int(log10Floor(magnitude))))
        return fixed(value, digits)
    }

    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 9e15 else { return "\(value)" }
        let whole = Int64(scaled)
        let unit = Int64(scale)
        let sign = value < 0 && whole != 0 ? "-" : ""
        guard digits > 0 else { return sign + String(whole) }
        let fraction = String(whole % unit)
        return sign + String(whole / unit) + "." + String(repeating: "0", count: digits - fraction.count) + fraction
    }

    private static func scientific(_ value: Double) -> String {
        let exponent = log10Floor(abs(value))
        var mantissa = value
        for _ in 0..<abs(exponent) { mantissa = exponent > 0 ? mantissa / 10 : mantissa * 10 }
        let digits = fixed(mantissa, 2)
        guard digits.hasSuffix("10.00") else { return digits + "e" + String(exponent) }
        return digits.replacing("10.00", with: "1.00") + "e" + String(exponent + 1)
    }

    /// The exponent of the first significant digit.
    private static func log10Floor(_ magnitude: Double) -> Int {
        guard magnitude > 0 else { return 0 }
        var exponent = 0
        var rest = magnitude
        while rest >= 10 {
            rest /= 10
            exponent += 1
        }
        while rest < 1 {
            rest *= 10
            exponent -= 1
        }
        return exponent
    }

    /// `12:34:56` today's way: date and time in UTC.
    static func time(_ time: Timestamp) -> String {
        let text = time.iso8601
        return text.prefix(10) + " " + text.dropFirst(11).prefix(8)
    }

    /// How long ago, roughly.
    static func ago(_ time: Timestamp, now: Timestamp) -> String {
        let seconds = max(0, (now.milliseconds - time.milliseconds) / 1000)
        return switch seconds {
        case ..<10: "just now"
        case ..<90: "\(seconds) s ago"
        case ..<5400: "\((seconds + 30) / 60) min ago"
        case ..<129_600: "\((seconds + 1800) / 3600) h ago"
        default: "\((seconds + 43200) / 86400) d ago"
        }
    }

    static func duration(milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1000: "\(max(0, milliseconds)) ms"
        case ..<60_000: fixed(Double(milliseconds) / 1000, 1) + " s"
        case ..<3_600_000: "\(milliseconds / 60_000) min \(milliseconds / 1000 % 60) s"
        default: "\(milliseconds / 3_600_000) h \(milliseconds / 60_000 % 60) min"
        }
    }

    static func bytes(_ count: Int64) -> String {
        switch count {
        case ..<1024: "\(count) B"
        case ..<1_048_576: fixed(Double(count) / 1024, 1) + " KB"
        case ..<1_073_741_824: fixed(Double(count) / 1_048_576, 1) + " MB"
        default: fixed(Double(count) / 1_073_741_824, 2) + " GB"
        }
    }

    static func seconds(_ seconds: Double) -> String {
        guard seconds.isFinite, seconds > 0 else { return "–" }
        return seconds < 0.001
            ? fixed(seconds * 1e6, 0) + " µs" : seconds < 1 ? fixed(seconds * 1e3, 2) + " ms" : fixed(seconds, 2) + " s"
    }
}
