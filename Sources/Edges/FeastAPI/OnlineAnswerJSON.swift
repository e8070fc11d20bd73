import AerieJSON
import Features

/// Feast's answer to `get-online-features`, written straight into bytes.
enum OnlineAnswerJSON {
    /// - Parameter views: the names of the views that took part, for `feature_view_metadata`.
    static func bytes(_ answer: OnlineAnswer, views: [String]?) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(256 + answer.columns.reduce(0) { $0 + 64 + 64 * $1.values.count })
        out += Array(#"{"results":["#.utf8)
        for (index, column) in answer.columns.enumerated() {
            if index > 0 { out.append(comma) }
            write(column, &out)
        }
        out += Array(#"],"metadata":{"feature_names":["#.utf8)
        for (index, column) in answer.columns.enumerated() {
            if index > 0 { out.append(comma) }
            out += JSONValue.string(column.name).utf8()
        }
        out.append(UInt8(ascii: "]"))
        if let views {
            let list = JSONValue.array(views.map { ["name": .string($0)] })
            out += Array(#","feature_view_metadata":"#.utf8)
            out += list.utf8()
        }
        out += Array("}}".utf8)
        return out
    }

    private static let comma = UInt8(ascii: ",")

    private static func write(_ column: OnlineAnswer.Column, _ out: inout [UInt8]) {
        out += Array(#"{"values":["#.utf8)
        for (row, value) in column.values.enumerated() {
            if row > 0 { out.append(comma) }
            out += value.json.utf8()
        }
        out += Array(#"],"statuses":["#.utf8)
        for (row, status) in column.statuses.enumerated() {
            if row > 0 { out.append(comma) }
            out.append(UInt8(ascii: "\""))
            out += Array(status.rawValue.utf8)
            out.append(UInt8(ascii: "\""))
        }
        out += Array(#"],"event_timestamps":["#.utf8)
        for (row, time) in column.times.enumerated() {
            if row > 0 { out.append(comma) }
            out.append(UInt8(ascii: "\""))
            out += Array(FeatureTime.text(time).utf8)
            out.append(UInt8(ascii: "\""))
        }
        out += Array("]}".utf8)
    }
}
