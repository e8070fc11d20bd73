import AerieJSON
import Features

/// Feast's answer to `get-online-features`, written straight into bytes.
struct OnlineAnswerJSON {
    private var out: [UInt8] = []
    /// The time that was written last, and its text: the features of a row have it in common.
    private var time: Int64?
    private var timeText: [UInt8] = []

    /// - Parameter views: those that took part, if they are asked for.
    static func bytes(_ answer: OnlineAnswer, views: [FeatureViewVersion]?) -> [UInt8] {
        var writer = OnlineAnswerJSON()
        writer.out.reserveCapacity(256 + answer.columns.reduce(0) { $0 + 96 + 56 * $1.values.count })
        writer.write(answer, views)
        return writer.out
    }

    /// `feature_view_metadata`: version 0 is left out, as protobuf's JSON has it.
    static func metadata(_ views: [FeatureViewVersion]) -> JSONValue {
        .array(
            views.map { view in
                var object: JSONObject = ["name": .string(view.name)]
                if let version = view.version, version > 0 { object["version"] = .int(Int64(version)) }
                return .object(object)
            })
    }

    private mutating func write(_ answer: OnlineAnswer, _ views: [FeatureViewVersion]?) {
        append(#"{"results":["#)
        for (index, column) in answer.columns.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            write(column)
        }
        append(#"],"metadata":{"feature_names":["#)
        for (index, column) in answer.columns.enumerated() {
            if index > 0 { out.append(UInt8(ascii: ",")) }
            write(column.name)
        }
        out.append(UInt8(ascii: "]"))
        if let views {
            append(#","feature_view_metadata":"#)
            out += Self.metadata(views).utf8()
        }
        if let degraded = answer.degraded {
            append(#","degraded":"#)
            out += JSONValue.string(degraded).utf8()
        }
        append("}}")
    }

    private mutating func write(_ column: OnlineAnswer.Column) {
        append(#"{"values":["#)
        for (row, value) in column.values.enumerated() {
            if row > 0 { out.append(UInt8(ascii: ",")) }
            write(value)
        }
        append(#"],"statuses":["#)
        for (row, status) in column.statuses.enumerated() {
            if row > 0 { out.append(UInt8(ascii: ",")) }
            switch status {
            case .present: append("\"PRESENT\"")
            case .nullValue: append("\"NULL_VALUE\"")
            case .notFound: append("\"NOT_FOUND\"")
            case .outsideMaxAge: append("\"OUTSIDE_MAX_AGE\"")
            }
        }
        append(#"],"event_timestamps":["#)
        for (row, time) in column.times.enumerated() {
            if row > 0 { out.append(UInt8(ascii: ",")) }
            out.append(UInt8(ascii: "\""))
            if self.time != time {
                self.time = time
                timeText = Array(FeatureTime.text(time).utf8)
            }
            out += timeText
            out.append(UInt8(ascii: "\""))
        }
        append("]}")
    }

    private mutating func write(_ value: FeatureValue) {
        switch value {
        case .null: append("null")
        case .bool(let flag): append(flag ? "true" : "false")
        case .int32(let number): write(number: number)
        case .int64(let number): write(number: number)
        case .string(let text), .text(_, let text): write(text)
        case .float, .double, .bytes, .timestamp, .list, .set, .nested: out += value.json.utf8()
        }
    }

    private mutating func append(_ text: StaticString) {
        out.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    /// Most texts need no escape, and go as they are.
    private mutating func write(_ text: String) {
        let isPlain = text.utf8.allSatisfy { $0 >= 0x20 && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") }
        guard isPlain else {
            out += JSONValue.string(text).utf8()
            return
        }
        out.append(UInt8(ascii: "\""))
        out.append(contentsOf: text.utf8)
        out.append(UInt8(ascii: "\""))
    }

    private mutating func write(number: some FixedWidthInteger & SignedInteger) {
        if number < 0 { out.append(UInt8(ascii: "-")) }
        var rest = UInt64(number.magnitude)
        let start = out.count
        repeat {
            out.append(UInt8(ascii: "0") + UInt8(rest % 10))
            rest /= 10
        } while rest > 0
        out[start...].reverse()
    }
}
