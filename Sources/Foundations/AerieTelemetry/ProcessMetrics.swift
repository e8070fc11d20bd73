#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// What the operating system knows of this process, under the names of Prometheus' client libraries.
public enum ProcessMetrics {
    /// Resident memory in bytes; `nil` where `/proc` is not there.
    public static func residentBytes() -> Int? {
        let parts = read("/proc/self/statm")?.split(separator: " ")
        guard let parts, parts.count > 1, let pages = Int(parts[1]) else { return nil }
        return pages * Int(sysconf(Int32(_SC_PAGESIZE)))
    }

    /// User and system time in seconds since the process began.
    public static func cpuSeconds() -> Double {
        var usage = rusage()
        getrusage(0, &usage)  // RUSAGE_SELF, whose type differs between platforms
        func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Open file descriptors; `nil` where `/proc` is not there.
    public static func openFiles() -> Int? {
        guard let folder = opendir("/proc/self/fd") else { return nil }
        defer { closedir(folder) }
        var count = 0
        while readdir(folder) != nil { count += 1 }
        return max(0, count - 3)  // ".", ".." and the folder itself
    }

    /// When the process began, in seconds since 1970; `nil` where `/proc` is not there.
    public static func startSeconds() -> Double? {
        guard let stat = read("/proc/self/stat"), let closing = stat.lastIndex(of: ")"),
            let boot = read("/proc/stat")?.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
        else { return nil }
        // Field 22 of the line; the second field is the program's name in parentheses and may hold spaces.
        let fields = stat[stat.index(after: closing)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]), let seconds = Double(boot.dropFirst(6)) else {
            return nil
        }
        return seconds + ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
    }

    static func write(to out: inout String) {
        func gauge(_ name: String, _ help: String, _ type: String, _ value: Double?) {
            guard let value else { return }
            out += Exposition.header(name, help, type) + "\(name) \(Exposition.number(value))\n"
        }
        gauge("process_cpu_seconds_total", "User and system CPU time spent in seconds", "counter", cpuSeconds())
        gauge("process_open_fds", "Open file descriptors", "gauge", openFiles().map(Double.init))
        gauge("process_resident_memory_bytes", "Resident memory in bytes", "gauge", residentBytes().map(Double.init))
        gauge("process_start_time_seconds", "Start time since the Unix epoch in seconds", "gauge", startSeconds())
    }

    /// A small file of `/proc`, at most 64 KiB of it.
    private static func read(_ path: String) -> String? {
        guard let file = fopen(path, "r") else { return nil }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 65536)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes[0..<count], as: UTF8.self)
    }
}
