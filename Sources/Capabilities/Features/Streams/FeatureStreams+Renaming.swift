public import AerieCore
import AerieResources
import Streaming

/// Streams that an earlier release has kept under names that said less: not by which keys, columns and types events are
/// read. They are taken over once, under the names that they have now.
extension FeatureStore {
    /// Brings what is kept of streams under earlier names to their names, so that windows hold what they held. To be
    /// called before anything is read or pushed. Can be cut off anywhere, and is then completed by the next call.
    ///
    /// Cost: where there is none, one look at the names of streams; else each entity of it is read and written.
    /// - Throws: `unavailable` if the online store cannot be reached; nothing is lost then.
    public func renameStreams() async throws(AerieError) {
        guard let featureStreams else { return }
        let kept = Set(try await featureStreams.states.streams())
        guard !kept.isEmpty else { return }
        for namespace in Set(try await resources.list(kind: "FeatureView").map(\.metadata.namespace)) {
            let catalog = try await catalog(namespace)
            for view in Array(catalog.views.values) + Array(catalog.disabledViews.values) {
                guard let former = view.formerStreamName, kept.contains(former) else { continue }
                try await featureStreams.rename(former, to: view)
            }
        }
    }
}

extension FeatureCatalog.View {
    /// What the view's stream was called before its name said how events are read; `nil` for a view without a stream.
    var formerStreamName: String? {
        let identity: String
        if let windows = online.windows {
            identity = String(StableHash.of("\(uid) \(windows.plan.fingerprint)".utf8), radix: 16)
        } else if definition.stream != nil {
            identity = "rows-" + String(StableHash.of(uid.utf8), radix: 16)
        } else {
            return nil
        }
        return "\(key.namespace)/\(definition.name)#\(identity)"
    }
}

extension FeatureStreams {
    private static let renamingStep = 10_000
    private static let deadLetterLimit = 10_000

    /// The former stream goes only when all of it is there under the new name, and online.
    fileprivate func rename(_ former: String, to view: FeatureCatalog.View) async throws(AerieError) {
        guard let name = view.streamName else { return }
        var change = StreamChange()
        change.step = try await states.unpublished(name).step
        if let windows = view.online.windows {
            let keys = try await entities(of: former)
            for start in stride(from: 0, to: keys.count, by: Self.renamingStep) {
                let some = Array(keys[start..<min(start + Self.renamingStep, keys.count)])
                change.states = []
                for (key, bytes) in zip(some, try await states.load(former, some)) {
                    guard let bytes else { continue }
                    let latest = try EntityWindows(bytes, windows.plan).latest
                    change.states.append(StoredState(key: key, latest: latest, bytes: bytes))
                }
                change.step += 1
                try await states.commit(name, change)
            }
            change.states = []
        }
        change.positions = try await states.positions(former)
        if try await states.deadLetters(name, limit: 1).isEmpty {
            change.deadLetters = try await states.deadLetters(former, limit: Self.deadLetterLimit).reversed()
        }
        change.step += 1
        try await states.commit(name, change)
        if view.online.windows != nil { try await processor(view).catchUp() }
        try await drop(former)
    }

    /// Those that are online, and those that were to be.
    private func entities(of stream: String) async throws(AerieError) -> [[UInt8]] {
        var keys = Set(try await states.unpublished(stream).states.map(\.key))
        for row in OnlineWindows.rows(of: stream) {
            try await online.scan(row, features: []) { keys.insert(Array($0.key)) }
        }
        return Array(keys)
    }
}
