import Serving
import Testing

@Suite("Shedding load")
struct QueueShedderTests {
    private let target: UInt64 = 5_000_000

    /// A queue before threads of one service time, simulated in virtual time: requests come at even distances, so many
    /// at once.
    /// - Returns: of those that came after the first second, the admitted and their waits, sorted.
    private func simulate(
        rate: Double, service: UInt64, threads: Int = 2, seconds: UInt64 = 6, atOnce: Int = 1
    ) -> (arrived: Int, waits: [UInt64]) {
        var shedder = QueueShedder(threads: threads)
        var free = [UInt64](repeating: 0, count: threads)
        // What was admitted and has not begun: when it will, and when it came.
        var ahead: [(begin: UInt64, came: UInt64)] = []
        var arrived = 0
        var waits: [UInt64] = []
        var came = 0
        let distance = UInt64(1e9 / rate) * UInt64(atOnce)
        var now: UInt64 = 0
        while now < seconds * 1_000_000_000 {
            while let first = ahead.first, first.begin <= now {
                shedder.record(waited: first.begin - first.came, service: service, target: target, now: first.begin)
                ahead.removeFirst()
            }
            let running = free.count { $0 > now }
            if now > 1_000_000_000 { arrived += 1 }
            let isAdmitted = shedder.admits(behind: ahead.count + running, target: target, now: now)
            shedder.count(admitted: isAdmitted)
            if isAdmitted {
                let thread = free.indices.min { free[$0] < free[$1] } ?? 0
                let begin = max(now, free[thread])
                free[thread] = begin + service
                ahead.append((begin, now))
                if now > 1_000_000_000 { waits.append(begin - now) }
            }
            came += 1
            if came % atOnce == 0 { now += distance }
        }
        return (arrived, waits.sorted())
    }

    @Test("below capacity everybody is admitted, however close")
    func calm() {
        let (arrived, waits) = simulate(rate: 1900, service: 1_000_000)
        #expect(waits.count == arrived && (waits.last ?? 0) < 2_000_000)
    }

    @Test("at three times the capacity the threads stay busy, and who is admitted waits no longer than twice the target")
    func overload() {
        for service in [UInt64(500_000), 1_000_000, 4_000_000] {
            let capacity = 2e9 / Double(service)
            let (arrived, waits) = simulate(rate: 3 * capacity, service: service)
            let goodput = Double(waits.count) / 5
            #expect(goodput >= 0.97 * capacity && goodput <= 1.03 * capacity, "\(goodput) of \(capacity)")
            #expect(Double(waits.count) < 0.4 * Double(arrived))
            let late = waits[Int(0.99 * Double(waits.count - 1))]
            #expect(late <= max(10_000_000, 5 * service), "\(late) ns")
        }
    }

    @Test("requests that come in clumps find the queue empty now and then, which does not end the shedding")
    func clumps() {
        for atOnce in [8, 20, 30] {
            let (arrived, waits) = simulate(rate: 7500, service: 800_000, atOnce: atOnce)
            #expect(Double(waits.count) >= 0.97 * 5 * 2500, "\(waits.count)")
            #expect(Double(waits.count) < 0.4 * Double(arrived))
            #expect(waits[Int(0.99 * Double(waits.count - 1))] <= target)
        }
    }

    @Test("clumps below capacity are no overload")
    func calmClumps() {
        let (arrived, waits) = simulate(rate: 1250, service: 800_000, atOnce: 30)
        #expect(waits.count == arrived)
    }

    @Test("a burst shorter than the interval is no overload, and calm ends the shedding")
    func burst() {
        var shedder = QueueShedder(threads: 1)
        for index in 0..<90 {
            shedder.record(waited: 50_000_000, service: 1_000_000, target: target, now: UInt64(index) * 1_000_000)
        }
        #expect(shedder.admits(behind: 100, target: target, now: 91_000_000))
        for index in 90..<120 {
            shedder.record(waited: 50_000_000, service: 1_000_000, target: target, now: UInt64(index) * 1_000_000)
        }
        #expect(!shedder.admits(behind: 100, target: target, now: 121_000_000))
        #expect(shedder.admits(behind: 4, target: target, now: 121_000_000))
        #expect(shedder.admits(behind: 0, target: target, now: 5_000_000_000), "an idle thread takes whatever comes")
        shedder.record(waited: 0, service: 1_000_000, target: target, now: 122_000_000)
        #expect(!shedder.admits(behind: 100, target: target, now: 123_000_000), "one that found it empty says nothing")
        shedder.record(waited: 0, service: 1_000_000, target: target, now: 210_000_000)
        #expect(shedder.admits(behind: 100, target: target, now: 211_000_000))
    }

    @Test("shedding ends when hardly anybody was refused for an interval")
    func fewRefused() {
        for refused in [0, 4, 5] {
            var shedder = QueueShedder(threads: 1)
            for now in stride(from: UInt64(0), through: 100_000_000, by: 1_000_000) {
                shedder.record(waited: 6_000_000, service: 1_000_000, target: target, now: now)
            }
            #expect(shedder.isShedding)
            for index in 0..<100 {
                shedder.count(admitted: index >= refused)
                let now = 101_000_000 + UInt64(index) * 1_000_000
                shedder.record(waited: 4_000_000, service: 1_000_000, target: target, now: now)
            }
            #expect(shedder.isShedding == (refused == 5), "\(refused) of 100")
        }
    }

    @Test("a slow model may let requests wait for a few of its calls")
    func slowModel() {
        var shedder = QueueShedder(threads: 1)
        for index in 0..<100 {
            shedder.record(waited: 900_000_000, service: 500_000_000, target: target, now: UInt64(index) * 500_000_000)
        }
        #expect([3, 50].allSatisfy { shedder.admits(behind: $0, target: target, now: 50_000_000_000) })
        for index in 100..<110 {
            let now = UInt64(index) * 500_000_000
            shedder.record(waited: 9_000_000_000, service: 500_000_000, target: target, now: now)
        }
        #expect(shedder.admits(behind: 3, target: target, now: 55_000_000_000))
        #expect(!shedder.admits(behind: 50, target: target, now: 55_000_000_000))
    }

    @Test("a request's own target decides about it, and so does it about those before it")
    func ownTargets() {
        var shedder = QueueShedder(threads: 1)
        for index in 0..<120 {
            let now = UInt64(index) * 1_000_000
            shedder.record(waited: 30_000_000, service: 1_000_000, target: 50_000_000, now: now)
        }
        #expect(!shedder.isShedding && shedder.admits(behind: 40, target: target, now: 120_000_000))
        for index in 120..<240 {
            let now = UInt64(index) * 1_000_000
            shedder.record(waited: 30_000_000, service: 1_000_000, target: target, now: now)
        }
        #expect(shedder.isShedding && !shedder.admits(behind: 40, target: target, now: 240_000_000))
        #expect(shedder.admits(behind: 40, target: 50_000_000, now: 240_000_000))
    }

    @Test("a burst may wait twenty times the target, however much room there is")
    func boundedBurst() {
        var shedder = QueueShedder(threads: 2)
        #expect(shedder.admits(behind: 100_000, target: target, now: 0), "nothing is known yet")
        shedder.record(waited: 0, service: 500_000, target: target, now: 0)
        #expect(shedder.admits(behind: 400, target: target, now: 1))
        #expect(!shedder.admits(behind: 401, target: target, now: 1))
        #expect(shedder.admits(behind: 800, target: 2 * target, now: 1))
    }
}
