import NIOCore

/// The description of a protobuf file, as server reflection hands it to clients that have none: written down as a
/// table, told as a `google.protobuf.FileDescriptorProto`.
struct ProtoFile: Sendable {
    /// A method of a service; types are full names without the leading dot.
    struct Method: Sendable {
        var name: String
        var input: String
        var output: String
        var clientStreams = false
        var serverStreams = false
    }

    let name: String
    let package: String
    /// By name within the package, nested ones with a dot: fields as `label 3 string`, separated by commas. Before a
    /// type may stand `repeated`, or `map` for a map from texts to it; `|` before a field's name makes it part of the
    /// message's one `oneof`. A type of the package goes by its name within it.
    let messages: [(name: String, fields: String)]
    let services: [(name: String, methods: [Method])]

    private static let scalars: [String: UInt64] = [
        "double": 1, "float": 2, "int64": 3, "uint64": 4, "int32": 5, "bool": 8, "string": 9, "bytes": 12, "uint32": 13,
    ]

    /// Every full name that the file defines.
    var symbols: [String] {
        messages.map { "\(package).\($0.name)" }
            + services.flatMap { service in
                ["\(package).\(service.name)"] + service.methods.map { "\(package).\(service.name).\($0.name)" }
            }
    }

    var descriptor: [UInt8] {
        var writer = ProtobufWriter()
        writer.text(1, name.utf8)
        writer.text(2, package.utf8)
        for message in messages where !message.name.contains(".") {
            writer.message(4) { write(message.name, message.fields, &$0) }
        }
        for service in services {
            writer.message(6) { writer in
                writer.text(1, service.name.utf8)
                for method in service.methods {
                    writer.message(2) {
                        $0.text(1, method.name.utf8)
                        $0.text(2, ".\(method.input)".utf8)
                        $0.text(3, ".\(method.output)".utf8)
                        $0.flag(5, method.clientStreams)
                        $0.flag(6, method.serverStreams)
                    }
                }
            }
        }
        writer.text(12, "proto3".utf8)
        return Array(writer.buffer.readableBytesView)
    }

    /// A `DescriptorProto` with what is nested in it.
    private func write(_ path: String, _ fields: String, _ writer: inout ProtobufWriter) {
        writer.text(1, (path.split(separator: ".").last.map(String.init) ?? path).utf8)
        var maps: [(name: String, value: String)] = []
        var hasChoice = false
        for field in fields.split(separator: ",") {
            let text = field.split(separator: " ").map(String.init)
            guard text.count >= 3 else { continue }
            let isChoice = text[0].hasPrefix("|")
            hasChoice = hasChoice || isChoice
            let name = String(text[0].drop { $0 == "|" })
            var type = text[text.count - 1]
            var isRepeated = text.count == 4
            if text[2] == "map" {
                // `parameters 4 map T`: messages of a key and a value.
                let words = name.split(separator: "_").map { $0.prefix(1).uppercased() + $0.dropFirst() }
                let entry = words.joined() + "Entry"
                maps.append((entry, type))
                type = "\(path).\(entry)"
                isRepeated = true
            }
            writer.message(2) { write(name, UInt64(text[1]) ?? 0, type, isRepeated, isChoice, &$0) }
        }
        for nested in messages where nested.name.hasPrefix(path + ".") {
            guard !nested.name.dropFirst(path.count + 1).contains(".") else { continue }
            writer.message(3) { write(nested.name, nested.fields, &$0) }
        }
        for map in maps {
            writer.message(3) { writer in
                writer.text(1, map.name.utf8)
                writer.message(2) { write("key", 1, "string", false, false, &$0) }
                writer.message(2) { write("value", 2, map.value, false, false, &$0) }
                writer.message(7) { $0.flag(7, true) }
            }
        }
        if hasChoice { writer.message(8) { $0.text(1, "choice".utf8) } }
    }

    /// A `FieldDescriptorProto`.
    private func write(
        _ name: String, _ number: UInt64, _ type: String, _ isRepeated: Bool, _ isChoice: Bool,
        _ writer: inout ProtobufWriter
    ) {
        writer.text(1, name.utf8)
        writer.number(3, number)
        writer.number(4, isRepeated ? 3 : 1)
        writer.number(5, Self.scalars[type] ?? 11)
        if Self.scalars[type] == nil { writer.text(6, ".\(package).\(type)".utf8) }
        // The only `oneof` has the index 0, which must be said all the same.
        if isChoice {
            writer.varint(9 << 3)
            writer.varint(0)
        }
    }
}
