/// A column of an Arrow table, or a part of a nested one.
public struct ArrowField: Sendable, Hashable {
    public var name: String
    /// The type as the Arrow C data interface writes it, such as `l` (64-bit whole number), `u` (text), `tsu:UTC` (time
    /// in microseconds), `+l` (list).
    public var format: String
    public var isNullable: Bool
    public var children: [ArrowField]
    /// Where values are indices into a dictionary: its number; `format` is then the type of the indices.
    public var dictionary: ArrowDictionary?

    public init(
        name: String, format: String, isNullable: Bool = true, children: [ArrowField] = [],
        dictionary: ArrowDictionary? = nil
    ) {
        self.name = name
        self.format = format
        self.isNullable = isNullable
        self.children = children
        self.dictionary = dictionary
    }
}

/// The values that a column's indices stand for; they come in a batch of their own.
public struct ArrowDictionary: Sendable, Hashable {
    public var id: Int64
    /// The type of the values, with its children. A field, as a dictionary may be nested; its name means nothing.
    public var values: [ArrowField]

    public init(id: Int64, values: ArrowField) {
        self.id = id
        self.values = [values]
    }
}

/// The columns of an Arrow table.
public struct ArrowSchema: Sendable, Hashable {
    public var fields: [ArrowField]

    public init(fields: [ArrowField]) { self.fields = fields }
}

/// Some rows of an Arrow table.
///
/// The buffers lie in one piece of memory, in the order of the fields: each field's own (validity, offsets, values; as
/// many as its type has), then those of its children. So do the nodes, one for each field. Little-endian.
public struct ArrowBatch: Sendable {
    public struct Node: Sendable, Hashable {
        public var length: Int
        public var nullCount: Int

        public init(length: Int, nullCount: Int) {
            self.length = length
            self.nullCount = nullCount
        }
    }

    public var length: Int
    public var nodes: [Node]
    /// Places in `body`; empty for a buffer that is left out.
    public var buffers: [Range<Int>]
    public var body: [UInt8]
    /// The values of dictionaries by their numbers, each as a batch of one column.
    public var dictionaries: [Int64: ArrowBatch] = [:]

    public init(length: Int, nodes: [Node] = [], buffers: [Range<Int>] = [], body: [UInt8] = []) {
        self.length = length
        self.nodes = nodes
        self.buffers = buffers
        self.body = body
    }

    /// Adds a buffer at the next multiple of 8.
    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        let start = body.count
        body.append(contentsOf: bytes)
        buffers.append(start..<body.count)
        while body.count % 8 != 0 { body.append(0) }
    }
}

/// What a type's buffers are, by its format.
public enum ArrowLayout: Sendable, Hashable {
    case null
    /// Bits of truth values.
    case bits
    /// Values of that many bytes each.
    case fixed(Int)
    /// Offsets of that many bytes each, and bytes.
    case variable(Int)
    /// Offsets of that many bytes each into the child.
    case list(Int)
    /// Only validity: structures, and lists of one length.
    case nested

    /// `nil` for a type that this program does not know.
    public init?(format: String) {
        switch format {
        case "n": self = .null
        case "b": self = .bits
        case "c", "C": self = .fixed(1)
        case "s", "S", "e": self = .fixed(2)
        case "i", "I", "f", "tdD", "tts", "ttm", "tiM": self = .fixed(4)
        case "l", "L", "g", "tdm", "ttu", "ttn", "tDs", "tDm", "tDu", "tDn", "tiD": self = .fixed(8)
        case "tin": self = .fixed(16)
        case "u", "z": self = .variable(4)
        case "U", "Z": self = .variable(8)
        case "+l", "+m": self = .list(4)
        case "+L": self = .list(8)
        case "+s": self = .nested
        default:
            guard let colon = format.firstIndex(of: ":") else { return nil }
            let arguments = format[format.index(after: colon)...].split(separator: ",").map { Int($0) }
            switch format[..<colon] {
            case "tss", "tsm", "tsu", "tsn": self = .fixed(8)
            case "+w": self = .nested
            case "w":
                guard let width = arguments.first ?? nil, (0...(1 << 20)).contains(width) else { return nil }
                self = .fixed(width)
            case "d":
                let bits = arguments.count > 2 ? arguments[2] ?? 0 : 128
                guard [32, 64, 128, 256].contains(bits) else { return nil }
                self = .fixed(bits / 8)
            default: return nil
            }
        }
    }

    public var bufferCount: Int {
        switch self {
        case .null: 0
        case .nested: 1
        case .bits, .fixed, .list: 2
        case .variable: 3
        }
    }
}
