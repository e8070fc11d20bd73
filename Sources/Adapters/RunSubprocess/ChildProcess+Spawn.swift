import AerieCore
import Foundation
import Glibc

extension ChildProcess.Launch {
    /// Starts the program in a process group of its own. Only inside `ChildProcess.starting`.
    /// - Parameter descriptors: what the child has as its descriptors 0, 1, …; above all of these.
    func spawn(_ descriptors: [Int32]) throws(AerieError) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (place, descriptor) in descriptors.enumerated() {
            posix_spawn_file_actions_adddup2(&actions, descriptor, Int32(place))
        }
        // Whatever the server has open without close-on-exec stays its own.
        closeFrom(Int32(descriptors.count), &actions)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigfillset(&signals)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        var words = ([executable] + arguments).map { strdup($0) } + [nil]
        var settings = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { for pointer in words + settings { free(pointer) } }
        var pid = pid_t()
        let code = posix_spawn(&pid, executable, &actions, &attributes, &words, &settings)
        guard code == 0 else {
            throw AerieError(.unavailable, "cannot start \(executable): \(String(cString: strerror(code)))")
        }
        // Here, while it has one thread only: threads have priorities of their own, and inherit them.
        if nice > 0 { setpriority(Int32(PRIO_PROCESS.rawValue), id_t(pid), Int32(clamping: nice)) }
        return pid
    }
}

/// In the GNU library from 2.34 on, and not in its Swift module.
private func closeFrom(_ descriptor: Int32, _ actions: inout posix_spawn_file_actions_t) {
    typealias Function = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, Int32) -> Int32
    guard let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") else { return }
    _ = unsafeBitCast(symbol, to: Function.self)(&actions, descriptor)
}
