import AerieCore

/// Moments as text: ISO 8601, in microseconds since 1970-01-01T00:00:00Z.
public enum FeatureTime {
    /// `2026-11-24`, `2026-11-24T10:00:00`, with a fraction and `Z` or `+01:00` or without; a space may stand for the
    /// `T`. Without a zone it is UTC. `nil` for anything else.
    public static func parse(_ text: String) -> Int64? {
        var rest = Array(text.utf8)[...]
        func number(_ digits: Int) -> Int64? {
            guard rest.count >= digits else { return nil }
            var value: Int64 = 0
            for byte in rest.prefix(digits) {
                guard byte >= 0x30, byte <= 0x39 else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            rest = rest.dropFirst(digits)
            return value
        }
        func take(_ characters: String) -> UInt8? {
            guard let first = rest.first, characters.utf8.contains(first) else { return nil }
            rest = rest.dropFirst()
            return first
        }
        guard let year = number(4), take("-") != nil, let month = number(2), take("-") != nil, let day = number(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let date = CivilDate(year: year, month: month, day: day)
        // No 31st of February.
        guard CivilDate(daysSince1970: date.daysSince1970) == date else { return nil }
        var seconds = date.daysSince1970 * 86_400
        var micros: Int64 = 0
        if !rest.isEmpty {
            guard take("Tt ") != nil, let hour = number(2), take(":") != nil, let minute = number(2), hour < 24,
                minute < 60
            else { return nil }
            seconds += hour * 3600 + minute * 60
            if take(":") != nil {
                guard let second = number(2), second < 61 else { return nil }
                seconds += second
            }
            if take(".") != nil {
                var unit: Int64 = 100_000
                guard rest.first.map({ $0 >= 0x30 && $0 <= 0x39 }) == true else { return nil }
                while let digit = number(1) {
                    micros += digit * unit
                    unit /= 10
                }
            }
            if let sign = take("+-") {
                guard let hours = number(2) else { return nil }
                _ = take(":")
                let minutes = rest.isEmpty ? 0 : number(2)
                guard let minutes, hours < 24, minutes < 60 else { return nil }
                let offset = hours * 3600 + minutes * 60
                seconds -= sign == UInt8(ascii: "-") ? -offset : offset
            } else {
                _ = take("Zz")
            }
        }
        return rest.isEmpty ? seconds * 1_000_000 + micros : nil
    }

    /// `2026-11-24T10:00:00Z`, with three or six digits of a fraction if there is one.
    public static func text(_ micros: Int64) -> String {
        var seconds = micros / 1_000_000
        var fraction = micros % 1_000_000
        if fraction < 0 { (seconds, fraction) = (seconds - 1, fraction + 1_000_000) }
        var day = seconds / 86_400
        var second = seconds % 86_400
        if second < 0 { (day, second) = (day - 1, second + 86_400) }
        let date = CivilDate(daysSince1970: day)
        func padded(_ value: Int64, _ digits: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, digits - text.count)) + text
        }
        let time = "\(padded(second / 3600, 2)):\(padded(second / 60 % 60, 2)):\(padded(second % 60, 2))"
        var tail = ""
        if fraction % 1000 != 0 {
            tail = "." + padded(fraction, 6)
        } else if fraction != 0 {
            tail = "." + padded(fraction / 1000, 3)
        }
        return "\(padded(date.year, 4))-\(padded(date.month, 2))-\(padded(date.day, 2))T\(time)\(tail)Z"
    }
}
