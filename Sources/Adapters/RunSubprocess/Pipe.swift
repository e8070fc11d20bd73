import AerieCore
import Glibc

/// A pipe whose ends are closed once, at the latest when nobody has it any more, and never reach another process by
/// accident.
final class Pipe {
    private(set) var readEnd: Int32 = -1
    private(set) var writeEnd: Int32 = -1

    init() throws(AerieError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else {
            throw AerieError(.resourceExhausted, "cannot open a pipe: \(String(cString: strerror(errno)))")
        }
        // Above the descriptors 0 to 3 that the child's ends are copied to.
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        readEnd = Self.raise(ends[0])
        writeEnd = Self.raise(ends[1])
        guard readEnd >= 0, writeEnd >= 0 else {
            close()
            throw AerieError(.resourceExhausted, "cannot open a pipe: too many open files")
        }
    }

    /// For the ends that are ours to read; the child's end of the lifeline must block.
    func readWithoutWaiting() { _ = fcntl(readEnd, F_SETFL, fcntl(readEnd, F_GETFL) | O_NONBLOCK) }

    func closeReadEnd() {
        if readEnd >= 0 { Glibc.close(readEnd) }
        readEnd = -1
    }

    func closeWriteEnd() {
        if writeEnd >= 0 { Glibc.close(writeEnd) }
        writeEnd = -1
    }

    deinit { close() }

    func close() {
        closeReadEnd()
        closeWriteEnd()
    }

    private static func raise(_ descriptor: Int32) -> Int32 {
        guard descriptor >= 0, descriptor < 10 else { return descriptor }
        defer { Glibc.close(descriptor) }
        return fcntl(descriptor, F_DUPFD_CLOEXEC, 10)
    }
}
