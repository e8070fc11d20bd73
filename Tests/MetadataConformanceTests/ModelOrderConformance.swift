import AerieCore
import Experiments
import Testing

/// Logged models in the order of what was measured of them.
extension TrackingConformance {
    static let modelOrders: [TrackingConformance] = [
        TrackingConformance("models are ordered by what was measured last, on the data set that is named") { stores in
            try await run(stores, "r")
            for name in ["m0", "m1", "m2"] {
                try await stores.models.create(
                    LoggedModel(
                        id: LoggedModelID(name), experimentID: "0", name: name, artifactURI: "mlflow-artifacts:/0/\(name)",
                        creationTime: at(1), lastUpdateTime: at(1)))
            }
            let points: [(String, String, String, Double, Int64)] = [
                ("m0", "train", "a", 0.9, 1), ("m0", "test", "b", 0.5, 2), ("m1", "train", "a", 0.8, 1),
                ("m1", "test", "b", 0.7, 3), ("m2", "train", "c", 0.95, 1), ("m2", "test", "b", 0.6, 1),
            ]
            for (model, name, digest, value, time) in points {
                let metric = Metric(
                    key: "auc", value: value, timestamp: at(time), step: 0, modelID: LoggedModelID(model),
                    datasetName: name, datasetDigest: digest)
                try await stores.runs.log([RunBatch(runID: "r", metrics: [metric])])
            }
            func order(_ name: String?, _ digest: String?, ascending: Bool = true) async throws -> [String] {
                let order = SearchOrder(
                    SearchField(.metric, "auc"), ascending: ascending, datasetName: name, datasetDigest: digest)
                var query = SearchQuery(experimentIDs: ["0"], order: [order], limit: 2)
                let first = try await stores.models.search(query)
                query.position = first.next
                let second = first.next == nil ? [] : try await stores.models.search(query).elements
                return (first.elements + second).map(\.name)
            }
            #expect(try await order(nil, nil).first == "m0")
            #expect(try await order("train", nil) == ["m1", "m0", "m2"])
            #expect(try await order("train", nil, ascending: false) == ["m2", "m0", "m1"])
            #expect(try await order("test", nil) == ["m0", "m2", "m1"])
            #expect(try await order("train", "a", ascending: false) == ["m0", "m1", "m2"])
            #expect(try await order(nil, "c", ascending: false).first == "m2")
            #expect(try await order("none", nil) == ["m2", "m1", "m0"])
        }
    ]
}
