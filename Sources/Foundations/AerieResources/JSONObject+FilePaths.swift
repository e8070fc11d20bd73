import AerieJSON

extension JSONObject {
    /// Makes the file path at `keys` absolute, if there is one and it is relative; addresses (`s3://…`) stay.
    mutating func anchor(_ keys: ArraySlice<String>, in folder: String) {
        guard let key = keys.first, let value = self[key] else { return }
        if keys.count > 1 {
            guard var inner = value.object else { return }
            inner.anchor(keys.dropFirst(), in: folder)
            self[key] = .object(inner)
        } else if let path = value.string, !path.isEmpty, !path.hasPrefix("/"), !path.contains("://") {
            self[key] = .string(folder == "/" ? "/" + path : "\(folder)/\(path)")
        }
    }
}
