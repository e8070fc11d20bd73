import AerieCore
import AerieJSON
import Testing

@testable import Capacity

@Suite struct CapacityPlanTests {
    /// The founding document's assumptions: 5,000 requests a second and pod, a fifth of overhead, 8 pods a node, three
    /// zones, 50 nodes for 12,000 a month, and what else it lists.
    private static let prices = CapacityPrices(
        node: 240,
        fixed: [
            .init("storage", 1000), .init("transfer", 2000), .init("balancer", 500), .init("feature store", 3000),
            .init("monitoring", 500), .init("development", 5000), .init("training", 3000),
        ])

    @Test(
        "the founding document's arithmetic comes out: 200 pods, 240 with overhead, 30 nodes, 50 recommended, 27,000 a month"
    )
    func foundingDocument() throws {
        let plan = try CapacityPlan(CapacityDemand(perSecond: 1_000_000, perPod: 5000), prices: Self.prices)
        #expect(plan.requiredPods == 200)
        #expect(plan.pods == 240)
        #expect(plan.minimumNodes == 30)
        #expect(plan.recommendedNodes == 50)
        #expect(plan.monthly == 27_000)
        // 27,000 / (1M * 86400 * 30), which the document rounds to 0.0000001.
        let perPrediction = try #require(plan.perPrediction)
        #expect(abs(perPrediction - 1.0417e-8) < 1e-11)
        #expect(abs(plan.headroom - 0.5) < 1e-12)
    }

    @Test("one zone needs no spare for another", arguments: [(1, 33), (2, 66), (3, 50)])
    func zones(zones: Int, nodes: Int) throws {
        let plan = try CapacityPlan(CapacityDemand(perSecond: 1_000_000, perPod: 5000, zones: zones))
        #expect(plan.recommendedNodes == nodes)
    }

    @Test("a division that misses a whole number by a hair is not rounded up")
    func rounding() throws {
        // 10 * 1.1 is 11.000000000000002.
        let plan = try CapacityPlan(CapacityDemand(perSecond: 100, perPod: 10, overhead: 0.1, podsPerNode: 11))
        #expect(plan.pods == 11)
        #expect(plan.minimumNodes == 1)
    }

    @Test("the least demand needs a pod and a node, and the greatest is counted to the last pod")
    func extremes() throws {
        let least = try CapacityPlan(CapacityDemand(perSecond: 1, perPod: 1e9))
        #expect(least.requiredPods == 1 && least.pods == 2 && least.minimumNodes == 1)
        let most = try CapacityPlan(CapacityDemand(perSecond: 1e12, perPod: 0.001, overhead: 10))
        #expect(most.requiredPods == 1_000_000_000_000_000 && most.pods == 11_000_000_000_000_000)
        #expect(throws: AerieError.self) { try CapacityPlan(CapacityDemand(perSecond: 1, perPod: 1e-300)) }
    }

    @Test("each number that is out of its range is named")
    func ranges() {
        do throws(AerieError) {
            _ = try CapacityPlan(
                CapacityDemand(perSecond: 0, perPod: -1, overhead: 11, podsPerNode: 0, zones: 0, maintenance: 2))
            Issue.record("it was taken")
        } catch {
            #expect(
                error.details.map(\.field)
                    == ["--rps", "--per-pod", "--overhead", "--pods-per-node", "--zones", "--maintenance"])
        }
    }
}

@Suite struct MeasuredCapacityTests {
    @Test("the rate is the highest below the first that did not hold")
    func rate() {
        let measured = MeasuredCapacity(
            points: [
                .init(rate: 40_000, p99: 0.001, success: 1), .init(rate: 10_000, p99: 0.001, success: 1),
                .init(rate: 20_000, p99: 0.002, success: 1), .init(rate: 30_000, p99: 0.009, success: 1),
            ], cores: 2)
        #expect(measured.rate(within: 0.005) == 20_000)
        #expect(measured.rate(within: 0.01) == 40_000)
        #expect(measured.rate(within: 0.0001) == nil)
    }

    @Test("a rate at which requests fail is not borne")
    func failures() {
        let measured = MeasuredCapacity(points: [.init(rate: 10, p99: 0.001, success: 0.99)], cores: 2)
        #expect(measured.rate(within: 1) == nil)
    }

    @Test("what was written is read, and other files are refused")
    func files() throws {
        let measured = MeasuredCapacity(points: [.init(rate: 10, p99: 0.5, success: 1)], cores: 4)
        let json: JSONValue = ["points": measured.json(), "settings": ["cores": 4]]
        #expect(try MeasuredCapacity(json: json) == measured)
        #expect(throws: AerieError.self) { try MeasuredCapacity(json: ["a": 1]) }
    }
}

@Suite struct AutoscalerTests {
    private let settings = Autoscaler.Settings(minimum: 50, maximum: 300)

    @Test("within a tenth of the target nothing changes")
    func tolerance() {
        var scaler = Autoscaler(settings, pods: 100)
        #expect(scaler.look(second: 0, utilization: 0.76) == 100)
        #expect(scaler.look(second: 15, utilization: 0.64) == 100)
    }

    @Test("upward by half as many in a minute, after a minute in which every look asked for more")
    func upward() {
        var scaler = Autoscaler(settings, pods: 100)
        #expect(scaler.look(second: 0, utilization: 0.7) == 100)
        // The look at second 0 is still in the window of 60 s, and asked for 100.
        for second in stride(from: 15, through: 60, by: 15) {
            #expect(scaler.look(second: second, utilization: 1) == 100)
        }
        // 100 * 1 / 0.7 = 143.
        #expect(scaler.look(second: 75, utilization: 1) == 143)
        // At most 150 within the minute, whatever is asked for.
        for second in stride(from: 90, through: 120, by: 15) {
            #expect(scaler.look(second: second, utilization: 1) <= 150)
        }
    }

    @Test("downward only by what the highest recommendation of five minutes allows, a tenth a minute")
    func downward() {
        var scaler = Autoscaler(settings, pods: 200)
        _ = scaler.look(second: 0, utilization: 0.7)
        for second in stride(from: 15, through: 300, by: 15) {
            #expect(scaler.look(second: second, utilization: 0.35) == 200)
        }
        #expect(scaler.look(second: 315, utilization: 0.35) == 180)
        #expect(scaler.look(second: 330, utilization: 0.35) == 180)
        #expect(scaler.look(second: 375, utilization: 0.35) == 162)
    }

    @Test("never below the minimum nor above the maximum")
    func bounds() {
        var scaler = Autoscaler(settings, pods: 1000)
        #expect(scaler.pods == 300)
        for second in stride(from: 0, through: 7200, by: 15) { _ = scaler.look(second: second, utilization: 0.01) }
        #expect(scaler.pods == 50)
        for second in stride(from: 7215, through: 14_400, by: 15) { _ = scaler.look(second: second, utilization: 1) }
        #expect(scaler.pods == 300)
    }
}

@Suite struct DaySimulationTests {
    @Test("a day's curve is met: the pods follow it, nothing is shed, and the night costs less")
    func day() {
        let day = DaySimulation(
            .init(peak: 1_000_000), perPod: 5000, settings: Autoscaler.Settings(minimum: 50, maximum: 300))
        #expect(day.overloadedSeconds == 0)
        #expect((50...60).contains(day.fewestPods))
        // 200 at the target; a tenth fewer is within the tolerance.
        #expect((182...200).contains(day.mostPods))
        #expect(day.saving > 0.2)
        #expect(day.samples.count == 86_400 / 15)
        #expect(day.samples.allSatisfy { $0.utilization <= 0.8 })
    }

    @Test("a burst that doubles the traffic at once is too fast for the autoscaler, and the simulation says so")
    func burst() {
        let day = DaySimulation(
            .init(peak: 1_000_000, burst: 1.0, burstHour: 14), perPod: 5000,
            settings: Autoscaler.Settings(minimum: 50, maximum: 300))
        #expect(day.overloadedSeconds > 30)
        #expect(day.shed > 0)
    }
}
