import AerieCore
import AerieData
import Serving
import Testing

/// Answers from arrays: feature `a` is ten times the entity's number, `b` is unknown for odd ones.
final class FakeLookup: FeatureLookup {
    let service = "risk"
    let keys: [FeatureKey]
    let requestColumns: [String]
    let features: [String]
    let fingerprint: String

    init(
        keys: [FeatureKey] = [FeatureKey(name: "user_id", entity: "user")], request: [String] = [],
        features: [String] = ["a", "b"]
    ) {
        self.keys = keys
        requestColumns = request
        self.features = features
        fingerprint = "\(keys)\(features)"
    }

    func readNow(_ rows: EntityRows) throws(AerieError) -> FetchedFeatures? {
        guard case .integers(let numbers) = rows.keys[0] else { throw .invalid("inputs.user_id", "no number") }
        let odd = numbers.filter { $0 % 2 != 0 }.count
        return FetchedFeatures(
            columns: [numbers.map { Double($0) * 10 }, numbers.map { $0 % 2 == 0 ? Double($0) : -1 }],
            missing: [0, odd], stale: [0, 0])
    }

    func read(_ rows: EntityRows) async throws(AerieError) -> FetchedFeatures { throw AerieError(.unavailable, "down") }

    func defaults(_ rows: EntityRows) -> FetchedFeatures {
        FetchedFeatures(
            columns: [Array(repeating: 0, count: rows.count), Array(repeating: -1, count: rows.count)],
            missing: [rows.count, rows.count],
            stale: [0, 0])
    }
}

struct FeatureFetchTests {
    private func binding(
        _ lookup: FakeLookup = FakeLookup(), columns: [String] = ["b", "amount", "a"]
    ) throws(AerieError) -> FeatureBinding {
        try FeatureBinding(lookup, model: ConstantModel(value: 1, features: columns.count, names: columns))
    }

    private func ids(_ ids: [Int64], name: String = "user_id") -> Tensor {
        Tensor(name: name, dataType: .int64, shape: [ids.count], elements: ids)
    }

    private func amounts(_ values: [Double], name: String = "amount") -> Tensor {
        Tensor(name: name, dataType: .fp64, shape: [values.count, 1], elements: values)
    }

    @Test func whatFeaturesAreComputedOfComesWithTheRequest() throws {
        let lookup = FakeLookup(request: ["amount", "is_new"])
        let binding = try binding(lookup, columns: ["b", "amount", "a"])
        let flags = Tensor(name: "is_new", dataType: .bool, shape: [2], elements: [UInt8(1), 0])
        let fetch = try #require(try FeatureFetch(binding, [ids([2, 3]), amounts([5, 7]), flags]))
        #expect(fetch.rows.request == [.numbers([5, 7]), .integers([1, 0])])
        // What is a column of the model too goes to both.
        let fetched = try #require(try binding.lookup.readNow(fetch.rows))
        #expect(Array(try fetch.rows(fetched).elements(as: Float.self)[..<2]) == [2, 5])
        let missing = #expect(throws: AerieError.self) { try FeatureFetch(binding, [ids([2, 3]), amounts([5, 7])]) }
        #expect(missing?.message.contains("is_new") == true)
    }

    @Test func rowsAreMadeOfWhatTheStoreHasAndWhatTheRequestGives() throws {
        let fetch = try #require(try FeatureFetch(binding(), [ids([2, 3]), amounts([5, .nan])]))
        let fetched = try #require(try fetch.binding.lookup.readNow(fetch.rows))
        let rows = try fetch.rows(fetched)
        #expect(rows.shape == [2, 3])
        let cells = rows.elements(as: Float.self)
        #expect(Array(cells[..<4]) == [2, 5, 20, -1])
        #expect(cells[4].isNaN)
        #expect(cells[5] == 30)
        let report = fetch.report(fetched, failure: nil, nanoseconds: 2500)
        #expect(report.missing == 1 && report.missingNames == ["b"] && report.stale == 0)
        #expect(
            report.parameters.map(\.name) == [
                "feature_service", "feature_microseconds", "features_missing", "features_stale",
                "features_missing_names",
            ])
    }

    @Test func whatTheRequestGivesTakesThePlaceOfTheStores() throws {
        let fetch = try #require(try FeatureFetch(binding(), [amounts([1]), ids([7]), amounts([99], name: "b")]))
        let fetched = try #require(try fetch.binding.lookup.readNow(fetch.rows))
        #expect(try fetch.rows(fetched).elements(as: Float.self) == [99, 1, 70])
        #expect(fetch.report(fetched, failure: nil, nanoseconds: 0).missing == 0)
    }

    @Test func theEntitysNameNamesItsKey() throws {
        #expect(try FeatureFetch(binding(), [ids([1], name: "user"), amounts([1])]) != nil)
    }

    @Test func aRequestWithoutEntityBringsEverythingAlong() throws {
        let rows = Tensor(name: "input", dataType: .fp32, shape: [1, 3], elements: [Float(1), 2, 3])
        #expect(try FeatureFetch(binding(), [rows]) == nil)
    }

    @Test func whatDoesNotFitIsNamed() throws {
        func problem(_ inputs: [Tensor]) -> String {
            do throws(AerieError) {
                _ = try FeatureFetch(try binding(), inputs)
                return ""
            } catch { return error.message }
        }
        #expect(problem([ids([1])]).contains("amount is no feature of risk"))
        #expect(problem([ids([1]), amounts([1]), amounts([1], name: "x")]).contains("x is neither a join key"))
        #expect(problem([ids([1, 2]), amounts([1])]).contains("has 1 elements, but the first key has 2 rows"))
        #expect(problem([ids([1]), amounts([1]), amounts([2])]).contains("given twice"))
        #expect(problem([amounts([1], name: "user_id"), amounts([1])]).contains("FP64 cannot name an entity"))
        let cut = Tensor(name: "user_id", dataType: .bytes, shape: [1], bytes: [9, 0, 0, 0, 65])
        #expect(problem([cut, amounts([1])]).contains("no UTF-8 text"))
        let two = FakeLookup(keys: [FeatureKey(name: "user_id", entity: "user"), FeatureKey(name: "shop", entity: "s")])
        #expect(throws: AerieError.self) { _ = try FeatureFetch(try binding(two), [ids([1]), amounts([1])]) }
    }

    @Test func aModelThatTheServiceDoesNotFitIsRefused() throws {
        #expect(throws: AerieError.self) { _ = try binding(columns: ["x", "y"]) }
        let unnamed = ConstantModel(value: 1, features: 3)
        #expect(throws: AerieError.self) { _ = try FeatureBinding(FakeLookup(), model: unnamed) }
        let fitting = try FeatureBinding(FakeLookup(), model: ConstantModel(value: 1, features: 2))
        #expect(fitting.columns == ["a", "b"])
    }
}
