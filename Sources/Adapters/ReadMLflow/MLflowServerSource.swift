public import AerieCore
import AerieJSON
public import Experiments
public import Imports
import Registry
import Synchronization

/// An MLflow server that runs, asked over its REST API; from version 2.0 on.
///
/// What a version does not have (logged models, traces, prompts) it has none of. Artifacts come through the server's
/// proxy, so that those of a server that does not serve them (`--no-serve-artifacts`) cannot be reached.
public final class MLflowServerSource: ImportSource {
    let server: MLflowServer
    /// Of the experiments, once they have been read.
    private let numbers = Mutex<[ExperimentID]?>(nil)
    /// Experiments that are searched in one call.
    static let experimentsPerCall = 100
    /// Calls that are under way at once.
    static let concurrency = 8

    let links = MLflowTraceLinks()

    /// - Throws: `invalidArgument` for what is no address; whether a server is there shows with the first call.
    public init(address: String) throws(AerieError) {
        server = try MLflowServer(address)
    }

    public func counts() async throws(AerieError) -> ImportCounts {
        var counts = ImportCounts()
        counts.experiments = try await experiments().count
        return counts
    }

    public func experiments() async throws(AerieError) -> [Experiment] {
        var found: [Experiment] = []
        var token: String?
        repeat {
            var body: JSONObject = ["max_results": 1000, "view_type": "ALL"]
            body["page_token"] = token.map(JSONValue.string)
            let page = try await server.post("/api/2.0/mlflow/experiments/search", .object(body))
            for value in page["experiments"]?.array ?? [] { found.append(try Self.experiment(value)) }
            token = page.nextPage
        } while token != nil
        found.sort { (Int64($0.id.text) ?? .max, $0.id.text) < (Int64($1.id.text) ?? .max, $1.id.text) }
        let ids = found.map(\.id)
        numbers.withLock { $0 = ids }
        return found
    }

    /// Pages through a search of all experiments, some experiments at a time.
    /// - Parameters:
    ///   - place: which experiments, and the server's token within them.
    ///   - search: asks for a page; an answer without a token ends these experiments.
    func page<Element>(
        after place: String?, per size: Int,
        _ search: ([ExperimentID], _ token: String?) async throws(AerieError) -> ImportPage<Element>
    ) async throws(AerieError) -> ImportPage<Element> {
        let known = numbers.withLock { $0 }
        let all: [ExperimentID]
        if let known { all = known } else { all = try await experiments().map(\.id) }
        let parts = (place ?? "0").split(separator: " ", maxSplits: 1).map(String.init)
        let start = Int(parts[0]) ?? 0
        guard start < all.count else { return ImportPage() }
        var found = try await search(
            Array(all[start..<min(start + size, all.count)]), parts.count > 1 ? parts[1] : nil)
        if let token = found.next {
            found.next = "\(start) \(token)"
        } else if start + size < all.count {
            found.next = "\(start + size)"
        }
        return found
    }

    /// Asks for all of them, some at a time, and gives the answers in their order.
    func together<Asked: Sendable, Answer: Sendable>(
        _ asked: [Asked], _ ask: @escaping @Sendable (Asked) async throws(AerieError) -> Answer
    ) async throws(AerieError) -> [Answer] {
        var answers: [Answer] = []
        for start in stride(from: 0, to: asked.count, by: Self.concurrency) {
            let some = asked[start..<min(start + Self.concurrency, asked.count)]
            let results: [(Int, Result<Answer, AerieError>)] = await withTaskGroup(
                of: (Int, Result<Answer, AerieError>).self
            ) { group in
                for (place, one) in zip(some.indices, some) {
                    group.addTask {
                        do throws(AerieError) { return (place, .success(try await ask(one))) } catch {
                            return (place, .failure(error))
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            for result in results.sorted(by: { $0.0 < $1.0 }) { answers.append(try result.1.get()) }
        }
        return answers
    }

    private static func experiment(_ value: JSONValue) throws(AerieError) -> Experiment {
        let created = value.time("creation_time") ?? Timestamp(milliseconds: 0)
        return Experiment(
            id: ExperimentID(try value.required("experiment_id")), name: try value.required("name"),
            artifactLocation: value["artifact_location"]?.string ?? "",
            stage: value["lifecycle_stage"]?.string == "deleted" ? .deleted : .active, creationTime: created,
            lastUpdateTime: value.time("last_update_time") ?? created, tags: value.tags("tags"))
    }
}

extension JSONValue {
    /// The token of the next page, if there is one.
    var nextPage: String? { self["next_page_token"]?.string.flatMap { $0.isEmpty ? nil : $0 } }

    func required(_ key: String) throws(AerieError) -> String {
        guard let text = self[key]?.string else {
            throw AerieError(.dataLoss, "the MLflow server answered without '\(key)'; is its version supported?")
        }
        return text
    }

    /// An integer, which MLflow writes as a number or, where it has 64 bits, as text.
    func integer(_ key: String) -> Int64? { self[key].flatMap { $0.int ?? $0.string.flatMap { Int64($0) } } }

    func time(_ key: String) -> Timestamp? { integer(key).map { Timestamp(milliseconds: $0) } }

    /// Text that is not empty.
    func text(at key: String) -> String? { self[key]?.string.flatMap { $0.isEmpty ? nil : $0 } }

    /// A list of objects with `key` and `value`.
    func tags(_ key: String) -> [Tag] {
        (self[key]?.array ?? []).compactMap { tag in
            tag["key"]?.string.map { Tag(key: $0, value: tag["value"]?.string ?? "") }
        }
    }

    /// A number, or the word that stands for one that JSON has not.
    var measured: Double? {
        if let number = double { return number }
        switch string {
        case "NaN": return .nan
        case "Infinity": return .infinity
        case "-Infinity": return -.infinity
        default: return nil
        }
    }
}
