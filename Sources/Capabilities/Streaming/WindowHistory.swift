public import AerieCore
import AerieWire

/// What a batch source has of an entity's events that do not belong to the stream: see `StreamSeam`.
public struct WindowHistory: Sendable, Hashable {
    /// When the source was read, in microseconds since 1970: it holds what had arrived before.
    public let reading: Int64
    /// The greatest event time, 0 for none.
    public private(set) var latest: Int64 = 0
    var tiles: EventTiles

    private static let layout: UInt64 = 1

    public init(reading: Int64, _ plan: WindowPlan) {
        self.reading = reading
        tiles = EventTiles(plan)
    }

    /// Takes an event in; in the order of arrival. Its key and identity are not looked at.
    public mutating func take(_ event: StreamEvent, _ plan: WindowPlan) {
        tiles.take(event, plan)
        latest = max(latest, event.time)
    }

    /// Version of the layout (varint), `reading` and `latest` (fixed64 each), then the tiles as in a state.
    public func bytes(_ plan: WindowPlan) -> [UInt8] {
        var writer = StateWriter()
        writer.begin(capacity: 32 + tiles.sizeLimit(plan))
        writer.varint(Self.layout)
        writer.fixed(UInt64(bitPattern: reading))
        writer.fixed(UInt64(bitPattern: latest))
        tiles.append(to: &writer, plan)
        return writer.bytes()
    }

    /// - Throws: `dataLoss` if the bytes are no history of this plan.
    public init(_ bytes: [UInt8], _ plan: WindowPlan) throws(AerieError) {
        let result: Result<WindowHistory, AerieError> = bytes.withUnsafeBytes { raw in
            do throws(AerieError) {
                var reader = ProtobufReader(raw)
                guard try reader.varint() == Self.layout else { throw .invalid("", "another layout") }
                var history = WindowHistory(reading: Int64(bitPattern: try reader.fixed64()), plan)
                history.latest = Int64(bitPattern: try reader.fixed64())
                try history.tiles.read(&reader, limit: raw.count, plan)
                return .success(history)
            } catch {
                return .failure(AerieError(.dataLoss, "the history of windows is not what was written", cause: error))
            }
        }
        self = try result.get()
    }
}
