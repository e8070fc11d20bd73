public import AerieCore
import AerieWire

/// The state as bytes, for a plan that both sides know. Varints and fixed little-endian numbers as protobuf has them:
///
/// - version of the layout (2), `latest` (fixed64), `version` (varint)
/// - the tiles: see `EventTiles.append`
/// - those of early events: number, then for each the reading before them (fixed64) and the tiles
/// - the identities: number of shares, then for each its index, number (varints) and identities (fixed64)
///
/// Layout 1 has no early events, and tiles of which nobody knew whether they were: they are read as such.
extension EntityWindows {
    private static let layout: UInt64 = 2

    public func bytes(_ plan: WindowPlan) -> [UInt8] {
        var writer = StateWriter()
        return encoded(plan, &writer).stored
    }

    /// The state as its writer keeps it, and as its readers get it, without identities.
    func encoded(_ plan: WindowPlan, _ writer: inout StateWriter) -> (stored: [UInt8], published: [UInt8]) {
        writer.begin(capacity: 64 + sizeLimit(plan))
        writer.varint(Self.layout)
        writer.fixed(UInt64(bitPattern: latest))
        writer.varint(UInt64(bitPattern: version))
        tiles.append(to: &writer, plan)
        writer.varint(UInt64(early.count))
        for one in early {
            writer.fixed(UInt64(bitPattern: one.reading))
            one.tiles.append(to: &writer, plan)
        }
        let published = writer.bytes(followedBy: 0)
        writer.varint(UInt64(identities.shares.count))
        for share in identities.shares {
            writer.varint(UInt64(bitPattern: share.index))
            writer.varint(UInt64(share.list.count))
            writer.fixed(share.list)
        }
        return (writer.bytes(), published)
    }

    /// More than the bytes can be.
    private func sizeLimit(_ plan: WindowPlan) -> Int {
        identities.count * 8 + identities.shares.count * 20 + tiles.sizeLimit(plan)
            + early.reduce(0) { $0 + 8 + $1.tiles.sizeLimit(plan) }
    }

    /// - Throws: `dataLoss` if the bytes are no state of this plan.
    public init(_ bytes: UnsafeRawBufferPointer, _ plan: WindowPlan) throws(AerieError) {
        self.init(plan)
        do throws(AerieError) { try read(bytes, plan) } catch {
            throw AerieError(.dataLoss, "the state of a stream is not what was written", cause: error)
        }
    }

    /// - Throws: likewise.
    public init(_ bytes: [UInt8], _ plan: WindowPlan) throws(AerieError) {
        let result: Result<EntityWindows, AerieError> = bytes.withUnsafeBytes { raw in
            do throws(AerieError) { return .success(try EntityWindows(raw, plan)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private mutating func read(_ bytes: UnsafeRawBufferPointer, _ plan: WindowPlan) throws(AerieError) {
        var reader = ProtobufReader(bytes)
        let layout = try reader.varint()
        guard (1...Self.layout).contains(layout) else { throw .invalid("", "another layout") }
        latest = Int64(bitPattern: try reader.fixed64())
        version = Int64(bitPattern: try reader.varint())
        try tiles.read(&reader, limit: bytes.count, plan)
        if layout == 1 {
            early = [Early(reading: .min, tiles: tiles)]
            tiles = EventTiles(plan)
        } else {
            for _ in 0..<(try reader.count(limit: bytes.count)) {
                var one = Early(reading: Int64(bitPattern: try reader.fixed64()), tiles: EventTiles(plan))
                try one.tiles.read(&reader, limit: bytes.count, plan)
                early.append(one)
            }
        }
        for _ in 0..<(try reader.count(limit: bytes.count)) {
            let index = Int64(bitPattern: try reader.varint())
            var list: [UInt64] = []
            for _ in 0..<(try reader.count(limit: bytes.count)) { list.append(try reader.fixed64()) }
            identities.restore(index, list)
        }
    }
}

extension ProtobufReader {
    /// A number of things, each of which takes a byte at least, of all in `limit`.
    fileprivate mutating func count(limit: Int) throws(AerieError) -> Int {
        let count = try varint()
        guard count <= UInt64(limit) else { throw .invalid("", "more than there are bytes") }
        return Int(count)
    }
}

/// Tiles as bytes:
///
/// - for each resolution: the number of tiles, then for each tile how far its index is from the one before, its numbers
///   (counts as varints, others fixed64), its last values (see `StreamValue.append`) and its sets (number, fixed64
///   each)
/// - the events whose time has not come: number, then time, arrival (fixed64 each) and values
extension EventTiles {
    func append(to writer: inout StateWriter, _ plan: WindowPlan) {
        for place in rings.indices { rings[place].append(to: &writer, plan.resolutions[place]) }
        writer.varint(UInt64(ahead.count))
        for event in ahead {
            writer.fixed(UInt64(bitPattern: event.time))
            writer.fixed(UInt64(bitPattern: event.arrival))
            for value in event.values { value.append(to: &writer) }
        }
    }

    /// More than the bytes can be.
    func sizeLimit(_ plan: WindowPlan) -> Int {
        var limit = 10
        for (ring, resolution) in zip(rings, plan.resolutions) {
            let tiles = ring.numbers.count / resolution.stride
            limit += 10 + tiles * 10 * (resolution.stride + resolution.sets.count)
            for last in ring.lasts { limit += 16 + last.value.sizeLimit }
            for set in ring.sets { limit += 8 * set.count }
        }
        for event in ahead { limit += 16 + event.values.reduce(0) { $0 + $1.sizeLimit } }
        return limit
    }

    /// Reads into empty tiles.
    /// - Parameter limit: bytes of all that is read.
    mutating func read(_ reader: inout ProtobufReader, limit: Int, _ plan: WindowPlan) throws(AerieError) {
        for place in plan.resolutions.indices {
            try Self.read(&rings[place], plan.resolutions[place], &reader)
        }
        for _ in 0..<(try reader.count(limit: limit)) {
            let time = Int64(bitPattern: try reader.fixed64())
            let arrival = Int64(bitPattern: try reader.fixed64())
            var values: [StreamValue] = []
            for _ in plan.columns { values.append(try Self.value(&reader)) }
            ahead.append(StreamEvent(key: [], time: time, arrival: arrival, values: values))
        }
    }

    private static func read(
        _ ring: inout TileRing, _ resolution: WindowPlan.Resolution, _ reader: inout ProtobufReader
    ) throws(AerieError) {
        let tiles = Int(clamping: try reader.varint())
        ring.numbers.reserveCapacity(min(tiles, 4096) * resolution.stride)
        var previous: Int64 = 0
        for _ in 0..<tiles {
            previous &+= Int64(bitPattern: try reader.varint())
            guard previous.magnitude < 1 << 53 else { throw .invalid("", "no index of a tile") }
            ring.numbers.append(Double(previous))
            for partial in resolution.partials {
                switch partial {
                case .events, .count: ring.numbers.append(Double(try reader.varint()))
                case .moments:
                    ring.numbers.append(Double(try reader.varint()))
                    ring.numbers.append(Double(bitPattern: try reader.fixed64()))
                    ring.numbers.append(Double(bitPattern: try reader.fixed64()))
                case .sum, .minimum, .maximum: ring.numbers.append(Double(bitPattern: try reader.fixed64()))
                }
            }
            for _ in resolution.lasts {
                var last = TileRing.Last(value: try value(&reader))
                if !last.value.isNull {
                    last.time = Int64(bitPattern: try reader.fixed64())
                    last.arrival = Int64(bitPattern: try reader.fixed64())
                }
                ring.lasts.append(last)
            }
            for _ in resolution.sets {
                let count = Int(clamping: try reader.varint())
                guard count <= TileRing.setLimit else { throw .invalid("", "a set is too large") }
                var set: [UInt64] = []
                for _ in 0..<count { set.append(try reader.fixed64()) }
                ring.sets.append(set)
            }
        }
    }

    private static func value(_ reader: inout ProtobufReader) throws(AerieError) -> StreamValue {
        switch try reader.varint() {
        case 0: return .null
        case 1: return .number(Double(bitPattern: try reader.fixed64()))
        case 2: return .text(try reader.text())
        case 3: return .flag(false)
        case 4: return .flag(true)
        default: throw .invalid("", "no kind of value")
        }
    }
}

extension TileRing {
    fileprivate func append(to writer: inout StateWriter, _ resolution: WindowPlan.Resolution) {
        let tiles = numbers.count / resolution.stride
        writer.varint(UInt64(tiles))
        var previous: Int64 = 0
        var at = 0
        for tile in 0..<tiles {
            let index = Int64(numbers[at])
            writer.varint(UInt64(bitPattern: index - previous))
            previous = index
            at += 1
            for partial in resolution.partials {
                switch partial {
                case .events, .count: writer.varint(UInt64(numbers[at]))
                case .moments:
                    writer.varint(UInt64(numbers[at]))
                    writer.fixed(numbers[at + 1].bitPattern)
                    writer.fixed(numbers[at + 2].bitPattern)
                case .sum, .minimum, .maximum: writer.fixed(numbers[at].bitPattern)
                }
                at += partial.width
            }
            for place in resolution.lasts.indices {
                let last = lasts[tile * resolution.lasts.count + place]
                last.value.append(to: &writer)
                if last.value.isNull { continue }
                writer.fixed(UInt64(bitPattern: last.time))
                writer.fixed(UInt64(bitPattern: last.arrival))
            }
            for place in resolution.sets.indices {
                let set = sets[tile * resolution.sets.count + place]
                writer.varint(UInt64(set.count))
                writer.fixed(set)
            }
        }
    }
}

extension StreamValue {
    /// What kind it is (0 null, 1 number, 2 text, 3 false, 4 true), then what there is of it.
    fileprivate func append(to writer: inout StateWriter) {
        switch self {
        case .null: writer.varint(0)
        case .number(let number):
            writer.varint(1)
            writer.fixed(number.bitPattern)
        case .text(let text):
            writer.varint(2)
            writer.varint(UInt64(text.utf8.count))
            for byte in text.utf8 { writer.byte(byte) }
        case .flag(let flag): writer.varint(flag ? 4 : 3)
        }
    }

    fileprivate var sizeLimit: Int { if case .text(let text) = self { 12 + text.utf8.count } else { 9 } }
}
