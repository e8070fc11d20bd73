import AerieCore

extension TransactionStream {
    /// The ten documented columns, then `user_id` and `event_time`.
    public static let columns = [
        "transaction_id", "amount", "transaction_hour", "merchant_category", "foreign_transaction", "location_mismatch",
        "device_trust_score", "velocity_last_24h", "cardholder_age", "is_fraud", "user_id", "event_time",
    ]

    /// The whole stream as CSV with a header line; `is_fraud` is `TRUE` or `FALSE`, `event_time` is in UTC.
    public func csv() -> String {
        var out = Self.columns.joined(separator: ",") + "\n"
        out.reserveCapacity(options.rows * 80)
        for event in generate() {
            out += "\(event.id),\(event.cents / 100).\(Self.twoDigits(event.cents % 100)),\(event.hour),"
            out += "\(event.merchantCategory),\(event.isForeign ? 1 : 0),\(event.isMismatch ? 1 : 0),"
            out += "\(event.trust),\(event.velocity),\(event.age),\(event.isFraud ? "TRUE" : "FALSE"),"
            out += "user_\(event.userID + 1),\(Self.dateText(event.time))\n"
        }
        return out
    }

    static func twoDigits(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }

    /// `2026-01-31 12:34:56` in UTC, by the Gregorian calendar.
    static func dateText(_ seconds: Int64) -> String {
        let (days, second) = (Int(seconds / 86_400), Int(seconds % 86_400))
        let date = CivilDate(daysSince1970: Int64(days))
        return "\(date.year)-\(twoDigits(Int(date.month)))-\(twoDigits(Int(date.day))) "
            + "\(twoDigits(second / 3600)):\(twoDigits(second / 60 % 60)):\(twoDigits(second % 60))"
    }
}
