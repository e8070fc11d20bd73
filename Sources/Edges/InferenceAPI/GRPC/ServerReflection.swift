import AerieCore
import AerieGRPC
import ErrorMapping
import NIOCore

extension GRPCService {
    /// Server reflection, in both versions that clients speak (`grpcurl` and others ask for v1 and then v1alpha).
    static func reflection(_ files: [ProtoFile], services: [String]) -> [GRPCService] {
        let versions = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"]
        let reflection = ServerReflection(files: files, services: (services + versions).sorted())
        return versions.map { name in
            GRPCService(name: name, methods: [
                "ServerReflectionInfo": GRPCMethod(.bidirectional) { call, message in
                    do throws(AerieError) {
                        call.send(try reflection.answer(message))
                        call.next()
                    } catch { call.finish(error) }
                }
            ])
        }
    }
}

/// What a client may ask of the server's own description.
private struct ServerReflection: Sendable {
    private let services: [String]
    private let byName: [String: [UInt8]]
    private let bySymbol: [String: [UInt8]]

    init(files: [ProtoFile], services: [String]) {
        self.services = services
        var byName: [String: [UInt8]] = [:]
        var bySymbol: [String: [UInt8]] = [:]
        for file in files {
            let descriptor = file.descriptor
            byName[file.name] = descriptor
            for symbol in file.symbols { bySymbol[symbol] = descriptor }
        }
        self.byName = byName
        self.bySymbol = bySymbol
    }

    /// `ServerReflectionRequest`: `host` 1, `file_by_filename` 3, `file_containing_symbol` 4, extensions 5 and 6,
    /// `list_services` 7.
    func answer(_ message: ByteBuffer) throws(AerieError) -> ByteBuffer {
        let bytes = Array(message.readableBytesView)
        var writer = ProtobufWriter()
        let result = bytes.withUnsafeBytes { bytes -> Result<(Int, String), AerieError> in
            do throws(AerieError) {
                var asked = (0, "")
                var reader = ProtobufReader(bytes)
                while let field = try reader.next() {
                    guard field.number > 1, field.wire == 2 else {
                        try reader.skip(field)
                        continue
                    }
                    asked = (field.number, String(decoding: try reader.delimited(field), as: UTF8.self))
                }
                return .success(asked)
            } catch { return .failure(error) }
        }
        let (kind, name) = try result.get()
        writer.message(2) { $0.buffer.writeBytes(bytes) }
        switch kind {
        case 3: file(byName[name], "file \(name)", &writer)
        case 4: file(bySymbol[name], "symbol \(name)", &writer)
        case 7:
            writer.message(6) { writer in
                for service in services { writer.message(1) { $0.text(1, service.utf8) } }
            }
        default: fail("extensions are not part of these services", 12, &writer)
        }
        return writer.buffer
    }

    private func file(_ descriptor: [UInt8]?, _ what: String, _ writer: inout ProtobufWriter) {
        guard let descriptor else { return fail("there is no \(what)", 5, &writer) }
        writer.message(4) { writer in descriptor.withUnsafeBytes { writer.bytes(1, $0) } }
    }

    private func fail(_ problem: String, _ code: UInt64, _ writer: inout ProtobufWriter) {
        writer.message(7) {
            $0.number(1, code)
            $0.text(2, problem.utf8)
        }
    }
}
