public import AerieCore
public import RequestTracing

/// Where spans are sent, and how: the settings of OpenTelemetry's exporters.
public struct OTLPEndpoint: Sendable, Hashable {
    /// By the names of `OTEL_EXPORTER_OTLP_PROTOCOL`.
    public enum Transport: String, Sendable, CaseIterable {
        case grpc
        case http = "http/protobuf"
    }

    public var url: String
    public var transport: Transport
    /// A file in PEM with the certificates of who may vouch for the collector; `nil` for the machine's own.
    public var certificateFile: String?
    let isSecure: Bool
    /// Sent with every message, as fields of the header or as metadata; names in lower case.
    public var headers: [(name: String, value: String)]
    let host: String
    let port: Int

    public static func == (a: OTLPEndpoint, b: OTLPEndpoint) -> Bool {
        a.url == b.url && a.transport == b.transport && a.certificateFile == b.certificateFile
            && a.headers.elementsEqual(b.headers, by: ==)
    }

    public func hash(into hasher: inout Hasher) { hasher.combine(url) }

    /// - Parameters:
    ///   - url: `http://host:4318`, to which `/v1/traces` is added where no path stands; `http://host:4317` for gRPC;
    ///     with TLS where the scheme is `https` (or `grpcs`).
    ///   - certificateFile: with the certificates of who may vouch for the collector, in PEM.
    ///   - headers: `name=value,name=value`, values percent-encoded, as `OTEL_EXPORTER_OTLP_HEADERS` has them.
    /// - Throws: `invalidArgument`, also for certificates that cannot be read.
    public init(
        _ url: String, transport: Transport, headers: String = "", certificateFile: String? = nil
    ) throws(AerieError) {
        let schemes = transport == .grpc ? ["http", "https", "grpc", "grpcs"] : ["http", "https"]
        guard let scheme = schemes.first(where: { url.lowercased().hasPrefix($0 + "://") }) else {
            throw .invalid("", "\"\(url.prefix(80))\" is no address; write http://host:4318, or https://…")
        }
        isSecure = scheme.hasSuffix("s")
        guard isSecure || certificateFile == nil else {
            throw .invalid("", "certificates are for TLS; write https:// in place of \(url.prefix(80))")
        }
        // Here, so that a file that cannot be read is told before anything is opened.
        if let certificateFile { _ = try CollectorTrust(certificateFile) }
        self.certificateFile = certificateFile
        let rest = url.dropFirst(scheme.count + 3)
        let authority = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let path = rest.dropFirst(authority.count)
        (host, port) = try Self.address(authority, usual: transport == .grpc ? 4317 : isSecure ? 443 : 80)
        guard !path.contains("#"), !authority.contains("@") else {
            throw .invalid("", "\"\(url.prefix(80))\" holds more than an address; credentials go into the headers")
        }
        let bare = path.isEmpty || path == "/"
        self.url = bare && transport == .http ? "\(scheme)://\(authority)/v1/traces" : url
        self.transport = transport
        self.headers = try Self.headers(headers)
    }

    private static func address(_ authority: Substring, usual: Int) throws(AerieError) -> (String, Int) {
        var host = authority
        var port = usual
        // A colon within brackets is one of the address itself.
        if let colon = authority.lastIndex(of: ":"), !authority[colon...].contains("]") {
            guard let number = Int(authority[authority.index(after: colon)...]), (1...65535).contains(number) else {
                throw .invalid("", "\"\(authority.prefix(80))\" has no port from 1 to 65535")
            }
            host = authority[..<colon]
            port = number
        }
        if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
        guard !host.isEmpty else { throw .invalid("", "the address has no host; write http://host:4318") }
        return (String(host), port)
    }

    private static func headers(_ text: String) throws(AerieError) -> [(name: String, value: String)] {
        var headers: [(name: String, value: String)] = []
        for entry in text.split(separator: ",") {
            let parts = entry.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = parts[0].filter { $0 != " " }.lowercased()
            let isName = !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != UInt8(ascii: ":") }
            guard parts.count == 2, isName, let value = unescaped(parts[1]) else {
                throw .invalid("", "\"\(entry.prefix(40))\" is no header; write name=value,name=value")
            }
            headers.append((name, value))
        }
        return headers
    }

    /// Without percent signs and spaces around; `nil` for what no header can hold.
    private static func unescaped(_ text: Substring) -> String? {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while rest.first == 0x20 { rest.removeFirst() }
        while rest.last == 0x20 { rest.removeLast() }
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return bytes.allSatisfy { $0 >= 0x20 && $0 < 0x7f } ? String(decoding: bytes, as: UTF8.self) : nil
    }

    /// An exporter to this endpoint.
    /// - Parameters:
    ///   - resource: what sends: `service.name` and its like.
    ///   - version: of the instrumentation.
    /// - Throws: `invalidArgument` for certificates that cannot be read.
    public func exporter(
        resource: [Span.Attribute], version: String
    ) throws(AerieError) -> any SpanExporter {
        let trust = try isSecure ? CollectorTrust(certificateFile) : nil
        switch transport {
        case .http: return OTLPHTTPExporter(self, trust, resource: resource, version: version)
        case .grpc: return try OTLPGRPCExporter(self, trust, resource: resource, version: version)
        }
    }
}

/// The name of what made the spans, told with each message.
let instrumentation = "aerie.inference"
/// For a message and its answer; OpenTelemetry's `OTEL_EXPORTER_OTLP_TIMEOUT`.
let exportSeconds: Int64 = 10
