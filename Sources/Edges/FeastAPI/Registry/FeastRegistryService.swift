import AerieCore
public import AerieGRPC
import AerieWire
import Features
import NIOCore

/// `feast.registry.RegistryServer`, as `registry_type: remote` of Feast's Python SDK 0.67 calls it.
///
/// Messages are read by their field numbers and objects are passed on as they came. A failure is a status whose words
/// are the JSON of one of Feast's own exceptions, which the SDK raises again.
public struct FeastRegistryService: Sendable {
    let registry: FeastRegistry

    public init(registry: FeastRegistry) { self.registry = registry }

    public var service: GRPCService {
        GRPCService(
            name: "feast.registry.RegistryServer",
            methods: applying().merging(looking()) { one, _ in one }.merging(viewMethods()) { one, _ in one }
                .merging(projectMethods()) { one, _ in one }.merging(catalogMethods()) { one, _ in one })
    }

    /// A request that has been read.
    struct Call: Sendable {
        var message: ProtobufMessage
        var connection: Int

        /// Requests for one object have its name in field 1 and the project in 2.
        var name: String { message.text(1) }
        var project: String { message.text(2) }
    }

    static let empty = ProtobufMessage()

    func method(
        _ answer: @escaping @Sendable (Call) async throws(AerieError) -> ProtobufMessage
    ) -> GRPCMethod {
        .unary { message, connection throws(GRPCFailure) in
            do throws(AerieError) {
                let call = Call(
                    message: try ProtobufMessage(bytes: message.readableBytesView), connection: connection)
                return ByteBuffer(bytes: try await answer(call).bytes)
            } catch { throw FeastFailure(error).grpc }
        }
    }

    // MARK: Kinds of which each object has one message

    private static let plain: [(kind: FeastKind, plural: String)] = [
        (.entity, "Entities"), (.dataSource, "DataSources"), (.featureService, "FeatureServices"),
        (.savedDataset, "SavedDatasets"), (.validationReference, "ValidationReferences"), (.permission, "Permissions"),
    ]

    /// `ApplyX {1: object, 2: project, 3: commit}` and `DeleteX {1: name, 2: project, 3: commit}`.
    private func applying() -> [String: GRPCMethod] {
        var methods: [String: GRPCMethod] = [:]
        for (kind, _) in Self.plain {
            methods["Apply" + kind.rawValue] = method { call throws(AerieError) in
                let object = try FeastObject(kind, bytes: call.message.data(1) ?? [])
                try await registry.change(
                    .apply(object, project: call.project), isCommitted: call.message.number(3) != 0,
                    connection: call.connection)
                return Self.empty
            }
            methods["Delete" + kind.rawValue] = method { call throws(AerieError) in
                try await delete([kind], call)
            }
        }
        return methods
    }

    func delete(_ kinds: [FeastKind], _ call: Call) async throws(AerieError) -> ProtobufMessage {
        try await registry.change(
            .delete(kinds, name: call.name, project: call.project), isCommitted: call.message.number(3) != 0,
            connection: call.connection)
        return Self.empty
    }

    /// `GetX {1: name, 2: project}` and `ListXs {1: project, 3: tags, pagination, sorting}`.
    private func looking() -> [String: GRPCMethod] {
        let views: [(kind: FeastKind, plural: String)] = [
            (.featureView, "FeatureViews"), (.onDemandFeatureView, "OnDemandFeatureViews"),
            (.streamFeatureView, "StreamFeatureViews"), (.labelView, "LabelViews"),
        ]
        var methods: [String: GRPCMethod] = [:]
        for (kind, plural) in Self.plain + views {
            methods["Get" + kind.rawValue] = method { call throws(AerieError) in
                try await registry.get(kind, call.name, project: call.project).message
            }
            methods["List" + plural] = method { call throws(AerieError) in
                var found = try await registry.entries(kind, project: call.message.text(1)).map(\.object)
                var page = 4
                if kind == .featureService {
                    page = 5
                    let view = call.message.text(4)
                    if !view.isEmpty {
                        found = try found.filtered { one throws(AerieError) in try one.viewNames().contains(view) }
                    }
                }
                return try FeastList(call.message, tags: 3, page: page).answer(found)
            }
        }
        return methods
    }

    // MARK: Projects, infrastructure and the whole

    private func projectMethods() -> [String: GRPCMethod] {
        [
            "ApplyProject": method { call throws(AerieError) in
                try await registry.apply(try FeastObject(.project, bytes: call.message.data(1) ?? []), project: "")
                return Self.empty
            },
            "GetProject": method { call throws(AerieError) in
                try await registry.get(.project, call.name, project: call.name).message
            },
            "ListProjects": method { call throws(AerieError) in
                try FeastList(call.message, tags: 2, page: 3).answer(
                    try await registry.entries(.project, project: "").map(\.object))
            },
            "DeleteProject": method { call throws(AerieError) in
                try await registry.deleteProject(call.name)
                return Self.empty
            },
            "ListProjectMetadata": method { call throws(AerieError) in
                var answer = ProtobufMessage()
                for entry in try await registry.entries(.projectMetadata, project: call.message.text(1)) {
                    answer.append(1, message: entry.object.message)
                }
                return answer
            },
            "UpdateInfra": method { call throws(AerieError) in
                try await registry.put(infra: call.message.data(1) ?? [], project: call.project)
                return Self.empty
            },
            "GetInfra": method { call throws(AerieError) in
                try await registry.infra(project: call.message.text(1))
            },
            "Commit": method { call throws(AerieError) in
                try await registry.commit(connection: call.connection)
                return Self.empty
            },
            // There is no cache that could be old.
            "Refresh": method { _ throws(AerieError) in Self.empty },
            "Proto": method { _ throws(AerieError) in try await registry.whole() },
        ]
    }
}

/// What lists have in common: tags that must all be there, sorting, and pages.
struct FeastList {
    private let tags: [(key: String, value: String)]
    private let page: Int
    private let limit: Int
    private let sortBy: String
    private let isDescending: Bool

    /// - Parameters:
    ///   - tags: the field of the request with the map of tags; 0 for none.
    ///   - page: the field of `PaginationParams {1: page, 2: limit}`; `SortingParams {1: sort_by, 2: sort_order}` comes
    ///     after it.
    init(_ request: ProtobufMessage, tags: Int, page: Int) throws(AerieError) {
        self.tags = tags == 0 ? [] : try request.map(tags)
        let pagination = try request.message(page)
        self.page = Int(Int32(truncatingIfNeeded: pagination?.number(1) ?? 0))
        limit = Int(Int32(truncatingIfNeeded: pagination?.number(2) ?? 0))
        let sorting = try request.message(page + 1)
        sortBy = sorting?.text(1) ?? ""
        isDescending = sorting?.text(2).lowercased() == "desc"
    }

    /// `{1: repeated object, 2: PaginationMetadata}`.
    func answer(_ objects: [FeastObject]) throws(AerieError) -> ProtobufMessage {
        answer(objects.filter { object in
            let own = object.tags
            return tags.allSatisfy { own[$0.key] == $0.value }
        }.map { ($0, $0.message) })
    }

    /// - Parameter found: objects, and the messages that stand for them in the list.
    func answer(_ found: [(object: FeastObject, message: ProtobufMessage)]) -> ProtobufMessage {
        var found = found
        if let key = key() {
            found.sort { key($0.object) < key($1.object) }
            if isDescending { found.reverse() }
        }
        let isPaged = page > 0 && limit > 0 && !found.isEmpty
        var answer = ProtobufMessage()
        var shown = found[...]
        if isPaged { shown = found.dropFirst((page - 1).multipliedCapped(by: limit)).prefix(limit) }
        for one in shown { answer.append(1, message: one.message) }
        let pages = isPaged ? (found.count - 1) / limit + 1 : found.isEmpty ? 0 : 1
        var metadata = ProtobufMessage()
        metadata.set(1, number: isPaged ? UInt64(page) : 0)
        metadata.set(2, number: isPaged ? UInt64(limit) : 0)
        metadata.set(3, number: UInt64(found.count))
        metadata.set(4, number: UInt64(pages))
        metadata.set(5, number: isPaged && page < pages ? 1 : 0)
        metadata.set(6, number: isPaged && page > 1 ? 1 : 0)
        answer.set(2, message: metadata)
        return answer
    }

    private func key() -> ((FeastObject) -> String)? {
        func padded(_ time: Timestamp?) -> String {
            let text = String(time?.milliseconds ?? 0)
            return String(repeating: "0", count: max(0, 20 - text.count)) + text
        }
        return switch sortBy {
        case "name": { $0.name.lowercased() }
        case "created_timestamp": { padded($0.created) }
        case "last_updated_timestamp": { padded($0.updated) }
        default: nil
        }
    }
}

extension Int {
    fileprivate func multipliedCapped(by other: Int) -> Int {
        let (value, overflow) = multipliedReportingOverflow(by: other)
        return overflow ? .max : value
    }
}

extension Array {
    func filtered(_ isIncluded: (Element) throws(AerieError) -> Bool) throws(AerieError) -> [Element] {
        var result: [Element] = []
        for element in self where try isIncluded(element) { result.append(element) }
        return result
    }
}
