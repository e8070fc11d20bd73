#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What a model is expected to need in memory, from its files alone.
enum ModelFootprint {
    /// A model in memory, with what its engine adds, is about twice its file.
    private static let factor = 2
    /// For a model whose files cannot be read; loading will say why.
    private static let smallest = 64 << 10

    /// A few system calls.
    static func bytes(at path: String) -> Int { max(smallest, factor * size(path, depth: 0)) }

    private static func size(_ path: String, depth: Int) -> Int {
        var status = stat()
        guard stat(path, &status) == 0 else { return 0 }
        guard status.st_mode & S_IFMT == S_IFDIR else { return Int(status.st_size) }
        guard depth < 4, let folder = opendir(path) else { return 0 }
        defer { closedir(folder) }
        var total = 0
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { total += size(path + "/" + name, depth: depth + 1) }
        }
        return total
    }
}
