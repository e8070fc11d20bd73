import AerieCore
import AerieJSON
import Streaming

/// How a view of windows stands in the online store: two rows an entity under names of their own, whose only feature is
/// tiles: of what came by the stream, and of what a backfill has read. The answers are made of them at each read, so
/// that time passes though no event comes.
public struct OnlineWindows: Sendable, Hashable {
    let plan: WindowPlan
    let types: [FeatureType]
    let project: String
    let keys: [String]
    /// Another one for another plan, other keys, other fields of an event, or another resource of the same name, whose
    /// states must not be mixed up.
    let rowName: String

    /// - Parameter keys: the join keys with their types.
    init(_ definition: WindowDefinition, project: String, name: String, uid: String, keys: [String]) {
        plan = definition.plan
        types = definition.types
        self.project = project
        self.keys = keys
        let (stream, kinds) = (definition.stream, definition.kinds.map(\.rawValue))
        let events = keys + [stream.timestampField, stream.eventID ?? ""] + kinds
        let identity = (["\(uid) \(plan.fingerprint)"] + events).joined(separator: "\u{1}")
        rowName = "\(name)#" + String(StableHash.of(identity.utf8), radix: 16)
    }

    /// The stream's name in the store of states.
    var stream: String { "\(project)/\(rowName)" }
    var row: OnlineView { OnlineView(project: project, name: rowName, features: ["tiles"]) }
    /// A row's time is when the source was read.
    var historyRow: OnlineView { OnlineView(project: project, name: rowName + "~history", features: ["tiles"]) }

    /// Both rows of a stream by its name.
    static func rows(of stream: String) -> [OnlineView] {
        guard let at = stream.firstIndex(of: "/") else { return [] }
        let (project, name) = (String(stream[..<at]), String(stream[stream.index(after: at)...]))
        return [name, name + "~history"].map { OnlineView(project: project, name: $0, features: ["tiles"]) }
    }

    /// What the asked features are at an instant.
    func record(
        _ tiles: OnlineRecord?, _ history: OnlineRecord?, _ features: [Int], at time: Int64
    ) throws(AerieError) -> OnlineRecord {
        var values = plan.emptyValues
        let past: WindowHistory? =
            if case .bytes(let bytes)? = history?.values.first { try WindowHistory(bytes, plan) } else { nil }
        if case .bytes(let bytes)? = tiles?.values.first {
            values = try EntityWindows(bytes, plan).values(at: time, plan, history: past)
        } else if let past {
            values = EntityWindows(plan).values(at: time, plan, history: past)
        }
        return OnlineRecord(
            time: max(tiles?.time ?? 0, past?.latest ?? 0),
            values: features.map { FeatureValue(values[$0], type: types[$0]) })
    }
}

/// Answers reads of views with windows out of the tiles that another store keeps; everything else goes through.
struct WindowedOnlineStore<Base: OnlineStore>: OnlineStore {
    let base: Base
    let clock: any WallClock

    func read(_ reads: [OnlineRead]) async throws(AerieError) -> [[OnlineRecord?]] {
        guard reads.contains(where: { $0.view.windows != nil }) else { return try await base.read(reads) }
        return try answers(reads, try await base.read(reads.flatMap(stored)))
    }

    func write(_ view: OnlineView, _ rows: [OnlineRow]) async throws(AerieError) -> Int {
        try await base.write(view, rows)
    }

    func scan(
        _ view: OnlineView, features: [Int], _ body: (ScannedRow) throws(AerieError) -> Void
    ) async throws(AerieError) {
        try await base.scan(view, features: features, body)
    }

    func sweep(_ view: OnlineView, before time: Int64) async throws(AerieError) -> Int {
        try await base.sweep(view, before: time)
    }

    func drop(_ view: OnlineView) async throws(AerieError) -> Int { try await base.drop(view) }
    func usage() async throws(AerieError) -> (bytes: Int64, rows: Int64) { try await base.usage() }

    private func stored(_ read: OnlineRead) -> [OnlineRead] {
        guard let windows = read.view.windows else { return [read] }
        return [windows.row, windows.historyRow].map { OnlineRead(view: $0, features: [0], keys: read.keys) }
    }

    private func answers(
        _ reads: [OnlineRead], _ records: [[OnlineRecord?]]
    ) throws(AerieError) -> [[OnlineRecord?]] {
        let now = clock.now().milliseconds * 1000
        var answers: [[OnlineRecord?]] = []
        answers.reserveCapacity(reads.count)
        var place = 0
        for read in reads {
            guard let windows = read.view.windows else {
                answers.append(records[place])
                place += 1
                continue
            }
            var rows: [OnlineRecord?] = []
            rows.reserveCapacity(read.keys.count)
            for (tiles, history) in zip(records[place], records[place + 1]) {
                rows.append(try windows.record(tiles, history, read.features, at: now))
            }
            answers.append(rows)
            place += 2
        }
        return answers
    }
}

extension WindowedOnlineStore: ImmediateOnlineStore where Base: ImmediateOnlineStore {
    func readNow(_ reads: [OnlineRead]) throws(AerieError) -> [[OnlineRecord?]] {
        guard reads.contains(where: { $0.view.windows != nil }) else { return try base.readNow(reads) }
        return try answers(reads, try base.readNow(reads.flatMap(stored)))
    }
}

extension OnlineStore {
    /// The same store, which also answers for views with windows.
    func answeringWindows(_ clock: any WallClock) -> any OnlineStore {
        if let immediate = self as? any ImmediateOnlineStore { return immediate.answeringWindowsNow(clock) }
        return WindowedOnlineStore(base: self, clock: clock)
    }
}

extension ImmediateOnlineStore {
    fileprivate func answeringWindowsNow(_ clock: any WallClock) -> any OnlineStore {
        WindowedOnlineStore(base: self, clock: clock)
    }
}
