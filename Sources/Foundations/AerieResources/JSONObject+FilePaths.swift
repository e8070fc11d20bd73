import AerieJSON

extension JSONObject {
    /// Makes the file path at `keys` absolute, if there is one and it is relative; addresses (`s3://…`) stay. The key
    /// `*` is every member.
    mutating func anchor(_ keys: ArraySlice<String>, in folder: String) {
        guard let key = keys.first else { return }
        for name in key == "*" ? members.map(\.key) : [key] {
            guard let value = self[name] else { continue }
            if keys.count > 1 {
                guard var inner = value.object else { continue }
                inner.anchor(keys.dropFirst(), in: folder)
                self[name] = .object(inner)
            } else if let path = value.string, !path.isEmpty, !path.hasPrefix("/"), !path.contains("://") {
                self[name] = .string(folder == "/" ? "/" + path : "\(folder)/\(path)")
            }
        }
    }
}
