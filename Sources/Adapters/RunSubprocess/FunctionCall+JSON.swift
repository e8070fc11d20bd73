import AerieCore
import AerieJSON
import Features

extension FunctionCall {
    /// The message of a call; see `FunctionScript`.
    /// - Parameter values: by column; empty for a table, which has them in a file.
    func message(_ operation: String, _ number: Int, values: [[FeatureValue]], rows: Int) -> JSONObject {
        var list: [JSONValue] = []
        for (place, column) in columns.enumerated() {
            var object: JSONObject = [
                "names": .array(column.names.map { .string($0) }),
                "type": column.type.map { .string($0.rawValue) } ?? .null,
            ]
            if place < values.count { object["values"] = .array(values[place].map(\.json)) }
            list.append(.object(object))
        }
        return [
            "op": .string(operation), "id": .int(Int64(number)), "view": .string(view), "rows": .int(Int64(rows)),
            "columns": .array(list),
            "features": .array(features.map { ["name": .string($0.name), "type": .string($0.type.rawValue)] }),
        ]
    }

    /// The values of an answer, by feature.
    /// - Throws: `failedPrecondition` for what does not fit the features' types.
    func values(_ answer: JSONValue, rows: Int) throws(AerieError) -> [[FeatureValue]] {
        let lists = answer["values"]?.array ?? []
        var columns: [[FeatureValue]] = []
        for (feature, list) in zip(features, lists) {
            var column: [FeatureValue] = []
            column.reserveCapacity(rows)
            for value in list.array ?? [] {
                do throws(AerieError) {
                    column.append(try FeatureValue(json: value, type: feature.type, field: feature.name))
                } catch {
                    throw AerieError(
                        .failedPrecondition,
                        "the function of feature view '\(view)' gave feature '\(feature.name)' a wrong value: "
                            + error.message, reason: "function.failed")
                }
            }
            columns.append(column)
        }
        guard columns.count == features.count, columns.allSatisfy({ $0.count == rows }) else {
            throw AerieError(.internal, "the answer of Python for feature view '\(view)' has not \(rows) rows")
        }
        return columns
    }
}
