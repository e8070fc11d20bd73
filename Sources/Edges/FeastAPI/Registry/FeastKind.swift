import AerieCore
import AerieWire

/// The kinds of object in Feast's registry, and where their messages (package `feast.core`) have what all have.
enum FeastKind: String, CaseIterable, Sendable {
    case entity = "Entity"
    case dataSource = "DataSource"
    case featureView = "FeatureView"
    case onDemandFeatureView = "OnDemandFeatureView"
    case streamFeatureView = "StreamFeatureView"
    case labelView = "LabelView"
    case featureService = "FeatureService"
    case savedDataset = "SavedDataset"
    case validationReference = "ValidationReference"
    case permission = "Permission"
    case project = "Project"
    case infra = "Infra"
    case projectMetadata = "ProjectMetadata"

    /// No two of these may have the same name in a project.
    static let views: [FeastKind] = [.featureView, .onDemandFeatureView, .streamFeatureView, .labelView]

    /// The kind of resource that Aerie carries out.
    var resourceKind: String? {
        switch self {
        case .entity: "Entity"
        case .featureView, .streamFeatureView, .onDemandFeatureView: "FeatureView"
        case .featureService: "FeatureService"
        default: nil
        }
    }

    /// Field numbers: `spec` holds name, project and tags unless it is 0; `meta` the times, none if it is 0.
    struct Layout {
        var spec = 1
        var name = 1
        var project = 2
        var tags: Int
        var meta = 2
        var created = 1
        var updated = 2
    }

    var layout: Layout {
        switch self {
        case .entity: Layout(project: 9, tags: 8)
        case .dataSource: Layout(spec: 0, name: 20, project: 21, tags: 24, meta: 50, created: 3, updated: 4)
        case .featureView, .labelView: Layout(tags: 5)
        case .onDemandFeatureView, .streamFeatureView, .savedDataset: Layout(tags: 7)
        case .featureService: Layout(tags: 4)
        case .validationReference: Layout(spec: 0, name: 1, project: 3, tags: 5, meta: 0)
        case .permission: Layout(tags: 8)
        case .project: Layout(project: 0, tags: 3)
        case .infra, .projectMetadata: Layout(spec: 0, name: 0, project: 0, tags: 0, meta: 0)
        }
    }

    /// The field of `feast.core.Registry` that lists them.
    var registryField: Int? {
        switch self {
        case .entity: 1
        case .featureView: 6
        case .featureService: 7
        case .onDemandFeatureView: 8
        case .savedDataset: 11
        case .dataSource: 12
        case .validationReference: 13
        case .streamFeatureView: 14
        case .projectMetadata: 15
        case .permission: 16
        case .project: 17
        case .labelView: 19
        case .infra: nil
        }
    }

    /// The class of Feast's error for one that is not there, and its words.
    func missing(_ name: String, in project: String) -> AerieError {
        let (type, text): (String, String) =
            switch self {
            case .entity: ("EntityNotFoundException", "Entity \(name) does not exist")
            case .dataSource: ("DataSourceObjectNotFoundException", "Data source \(name) does not exist")
            case .onDemandFeatureView:
                ("OnDemandFeatureViewNotFoundException", "On demand feature view \(name) does not exist")
            case .featureView, .streamFeatureView, .labelView:
                ("FeatureViewNotFoundException", "Feature view \(name) does not exist")
            case .featureService: ("FeatureServiceNotFoundException", "Feature service \(name) does not exist")
            case .savedDataset: ("SavedDatasetNotFound", "Saved dataset \(name) does not exist")
            case .validationReference:
                ("ValidationReferenceNotFound", "Validation reference \(name) does not exist")
            case .permission: ("PermissionObjectNotFoundException", "Permission \(name) does not exist")
            case .project, .infra, .projectMetadata: ("ProjectObjectNotFoundException", "Project \(name) does not exist")
            }
        let place = [.project, .infra, .projectMetadata].contains(self) ? "" : " in project \(project)"
        return AerieError(.notFound, text + place, reason: FeastFailure.reason(type))
    }
}

/// One object of the registry: its message, and what all kinds have in common.
struct FeastObject: Sendable, Hashable {
    let kind: FeastKind
    var message: ProtobufMessage

    /// - Throws: `invalidArgument` if the bytes are no message.
    init(_ kind: FeastKind, bytes: [UInt8]) throws(AerieError) {
        self.kind = kind
        message = try ProtobufMessage(bytes: bytes)
        // What is read without an error later on has been looked at once here.
        if kind.layout.spec > 0 { _ = try message.message(kind.layout.spec) }
        if kind.layout.meta > 0 { _ = try message.message(kind.layout.meta) }
        _ = try spec.map(kind.layout.tags)
    }

    init(_ kind: FeastKind, message: ProtobufMessage) {
        self.kind = kind
        self.message = message
    }

    /// The message that holds the name; the object's own where there is no other.
    var spec: ProtobufMessage {
        get { kind.layout.spec == 0 ? message : part(kind.layout.spec) }
        set {
            if kind.layout.spec == 0 { message = newValue } else { message.set(kind.layout.spec, message: newValue) }
        }
    }

    var meta: ProtobufMessage {
        get { kind.layout.meta == 0 ? ProtobufMessage() : part(kind.layout.meta) }
        set { if kind.layout.meta > 0 { message.set(kind.layout.meta, message: newValue) } }
    }

    private func part(_ number: Int) -> ProtobufMessage {
        do throws(AerieError) { return try message.message(number) ?? ProtobufMessage() } catch {
            return ProtobufMessage()
        }
    }

    var name: String { spec.text(kind.layout.name) }

    var project: String {
        get { spec.text(kind.layout.project) }
        set {
            guard kind.layout.project > 0 else { return }
            spec.set(kind.layout.project, text: newValue)
        }
    }

    var tags: [String: String] {
        do throws(AerieError) {
            return Dictionary(try spec.map(kind.layout.tags).map { ($0.key, $0.value) }) { _, last in last }
        } catch { return [:] }
    }

    /// Milliseconds; `nil` for none.
    var created: Timestamp? { time(kind.layout.created) }
    var updated: Timestamp? { time(kind.layout.updated) }

    private func time(_ number: Int) -> Timestamp? {
        do throws(AerieError) { return try meta.message(number).map { FeastTime.timestamp($0) } } catch { return nil }
    }

    mutating func stamp(created: Timestamp, updated: Timestamp) {
        guard kind.layout.meta > 0 else { return }
        var meta = meta
        meta.set(kind.layout.created, message: FeastTime.message(created))
        meta.set(kind.layout.updated, message: FeastTime.message(updated))
        self.meta = meta
    }
}

/// `google.protobuf.Timestamp` and `Duration`: seconds in field 1, nanoseconds in field 2.
enum FeastTime {
    static func timestamp(_ message: ProtobufMessage) -> Timestamp {
        Timestamp(milliseconds: micros(message) / 1000)
    }

    static func micros(_ message: ProtobufMessage) -> Int64 {
        let seconds = min(max(Int64(bitPattern: message.number(1)), -1 << 40), 1 << 40)
        let nanos = Int64(Int32(truncatingIfNeeded: message.number(2)))
        return seconds * 1_000_000 + nanos / 1000
    }

    static func message(_ time: Timestamp) -> ProtobufMessage { message(micros: time.milliseconds * 1000) }

    static func message(micros: Int64) -> ProtobufMessage {
        let part = ((micros % 1_000_000) + 1_000_000) % 1_000_000
        var message = ProtobufMessage()
        message.set(1, number: UInt64(bitPattern: (micros - part) / 1_000_000))
        message.set(2, number: UInt64(part * 1000))
        return message
    }
}
