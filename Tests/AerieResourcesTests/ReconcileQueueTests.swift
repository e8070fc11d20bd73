import Testing

@testable import AerieResources

@Suite struct ReconcileQueueTests {
    let a = ResourceKey(kind: "Widget", name: "a")
    let b = ResourceKey(kind: "Widget", name: "b")

    @Test("an object is given to one worker at a time, and again if it changed meanwhile")
    func serialised() {
        var queue = ReconcileQueue()
        queue.add(a)
        queue.add(a)
        queue.add(b)
        #expect(queue.take() == a)
        queue.add(a)
        #expect(queue.take() == b)
        #expect(queue.take() == nil)
        #expect(queue.finish(a, failed: false) == nil)
        #expect(queue.take() == a)
        _ = queue.finish(a, failed: false)
        _ = queue.finish(b, failed: false)
        #expect(queue.isIdle)
    }

    @Test("failures are retried after 1, 2, 4 … 60 seconds, and a success begins anew")
    func backoff() {
        var queue = ReconcileQueue()
        var pauses: [Duration?] = []
        for _ in 0..<9 {
            queue.add(a)
            _ = queue.take()
            pauses.append(queue.finish(a, failed: true))
        }
        #expect(pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60].map { .seconds($0) })
        queue.add(a)
        _ = queue.take()
        #expect(queue.finish(a, failed: false) == nil)
        queue.add(a)
        _ = queue.take()
        #expect(queue.finish(a, failed: true) == .seconds(1))
    }
}
