#if FUZZ_COVERAGE
    import Foundation

    /// libFuzzer, which keeps an input that reaches code no other has reached, and knows what inputs are compared with.
    ///
    /// Only in a program that was built for it (`dev/fuzz-coverage`): its Swift code counts the edges it takes. One run
    /// in a process; the library's own thread never ends, and the process ends it.
    final class CoverageSteering: @unchecked Sendable {
        // Safety: written before the library's thread begins, then read and written there, and read here after `over`.
        private let body: (UnsafeRawBufferPointer) throws -> Bool
        private let mutate: ([UInt8], inout FuzzRandom) -> [UInt8]
        private let over = DispatchSemaphore(value: 0)
        private var problem: (any Error)?
        nonisolated(unsafe) fileprivate static var current: CoverageSteering?

        /// - Parameters:
        ///   - body: runs an input; false to end the run.
        ///   - mutate: changes an input by its structure.
        init(
            body: @escaping (UnsafeRawBufferPointer) throws -> Bool,
            mutate: @escaping ([UInt8], inout FuzzRandom) -> [UInt8]
        ) {
            self.body = body
            self.mutate = mutate
        }

        /// Runs inputs until `body` says that it is enough, or throws.
        /// - Parameters:
        ///   - corpus: a folder of the inputs that reached something new, of this run and those before.
        ///   - seeds: inputs to begin with.
        /// - Throws: what `body` throws.
        func run(seed: UInt64, maximumBytes: Int, corpus: String, seeds: [[UInt8]]) throws {
            let first = FileManager.default.temporaryDirectory.path + "/aerie-fuzz-\(UUID().uuidString)"
            defer { try? FileManager.default.removeItem(atPath: first) }
            for folder in [corpus, first] {
                try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            }
            for (index, seed) in seeds.enumerated() {
                try Data(seed).write(to: URL(fileURLWithPath: "\(first)/\(index)"))
            }
            Self.current = self
            // Crashes, hangs and memory are watched from outside, by who started this process.
            let signals = ["abrt", "bus", "fpe", "ill", "int", "segv", "term", "xfsz"].map { "-handle_\($0)=0" }
            let arguments = [
                "fuzzer", corpus, first, "-seed=\(UInt32(truncatingIfNeeded: seed | 1))", "-max_len=\(maximumBytes)",
                "-timeout=0", "-rss_limit_mb=0", "-malloc_limit_mb=0", "-detect_leaks=0", "-reload=0",
            ] + signals
            let thread = Thread {
                var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
                var count = CInt(words.count - 1)
                words.withUnsafeMutableBufferPointer { buffer in
                    var start = buffer.baseAddress
                    _ = runDriver(&count, &start) { bytes, count in
                        CoverageSteering.current?.take(UnsafeRawBufferPointer(start: bytes, count: count))
                        return 0
                    }
                }
            }
            thread.stackSize = 8 << 20
            thread.start()
            over.wait()
            if let problem { throw problem }
        }

        /// The library can be told to go on, and not to return: once it is enough, its thread stays here.
        private func take(_ input: UnsafeRawBufferPointer) {
            do {
                if try body(input) { return }
            } catch { problem = error }
            over.signal()
            while true { sleep(1000) }
        }

        /// Half of the changes are the library's own, which know what was compared with what.
        fileprivate func change(
            _ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ most: Int, _ seed: UInt64
        ) -> Int {
            var random = FuzzRandom(seed: seed, name: "")
            if random.isOnce(in: 2) { return changeBytes(bytes, count, most) }
            let changed = mutate(Array(UnsafeBufferPointer(start: bytes, count: count)), &random)
            let kept = min(most, changed.count)
            changed.withUnsafeBufferPointer { if kept > 0 { bytes.update(from: $0.baseAddress!, count: kept) } }
            return kept
        }
    }

    @_cdecl("LLVMFuzzerCustomMutator")
    func changeInput(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ most: Int, _ seed: CUnsignedInt) -> Int {
        CoverageSteering.current?.change(bytes, count, most, UInt64(seed)) ?? count
    }

    @_silgen_name("LLVMFuzzerMutate")
    private func changeBytes(_ bytes: UnsafeMutablePointer<UInt8>, _ count: Int, _ most: Int) -> Int

    @_silgen_name("LLVMFuzzerRunDriver")
    private func runDriver(
        _ count: UnsafeMutablePointer<CInt>,
        _ words: UnsafeMutablePointer<UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>?>,
        _ body: @convention(c) (UnsafePointer<UInt8>?, Int) -> CInt
    ) -> CInt
#endif
