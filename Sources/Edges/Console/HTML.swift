/// Text that is HTML already. The only way to make one from other text escapes it, so a run's name can hold anything.
struct HTML: Sendable, ExpressibleByStringInterpolation {
    var text: String

    init(stringLiteral value: String) { text = value }
    init(stringInterpolation: Interpolation) { text = stringInterpolation.text }

    /// Markup made elsewhere in this module.
    init(markup: String) { text = markup }

    /// `\(…)` of a string or number is escaped; of `HTML` it is taken as it is.
    struct Interpolation: StringInterpolationProtocol {
        var text = ""

        init(literalCapacity: Int, interpolationCount: Int) { text.reserveCapacity(literalCapacity * 2) }
        mutating func appendLiteral(_ literal: String) { text += literal }
        mutating func appendInterpolation(_ html: HTML) { text += html.text }
        mutating func appendInterpolation(_ html: [HTML]) { for part in html { text += part.text } }
        mutating func appendInterpolation(_ html: HTML?) { if let html { text += html.text } }
        mutating func appendInterpolation(_ string: String) { HTML.escape(string, to: &text) }
        mutating func appendInterpolation(_ number: Int) { text += String(number) }
        mutating func appendInterpolation(_ number: Double) { text += Format.number(number) }
    }

    /// Also right inside attributes in double quotes.
    private static func escape(_ string: String, to out: inout String) {
        for scalar in string.unicodeScalars {
            switch scalar {
            case "&": out += "&amp;"
            case "<": out += "&lt;"
            case ">": out += "&gt;"
            case "\"": out += "&quot;"
            case "'": out += "&#39;"
            default: out.unicodeScalars.append(scalar)
            }
        }
    }
}

extension Array where Element == HTML {
    func joined(_ separator: HTML) -> HTML { HTML(markup: map(\.text).joined(separator: separator.text)) }
}
