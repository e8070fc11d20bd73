import AerieCore
import SendOTLP
import RequestTracing

/// Where traces of predictions go, and which of them.
struct TracingSettings: Sendable, Equatable {
    /// As it was written; `nil` where no traces are made.
    var endpoint: String?
    var transport = OTLPEndpoint.Transport.http
    var headers = ""
    /// Who may vouch for a collector with TLS; `nil` for whom the machine trusts.
    var certificateFile: String?
    var policy = SamplingPolicy()
    var serviceName = "aerie"

    mutating func set(_ setting: Configuration.Setting, _ text: String) throws(AerieError) {
        switch setting {
        case .otlpEndpoint: endpoint = text.isEmpty ? nil : text
        case .otlpProtocol:
            guard let known = OTLPEndpoint.Transport(rawValue: text) else {
                let names = OTLPEndpoint.Transport.allCases.map(\.rawValue).joined(separator: " or ")
                throw .invalid("", "\"\(text.prefix(40))\" is no protocol of traces; write \(names)")
            }
            transport = known
        case .otlpHeaders:
            _ = try OTLPEndpoint("http://localhost", transport: .http, headers: text)
            headers = text
        case .otlpCertificate: certificateFile = text.isEmpty ? nil : text
        case .traceRatio:
            guard let ratio = Double(text), ratio >= 0, ratio <= 1 else {
                throw .invalid("", "\"\(text.prefix(40))\" is no share of the requests; write a number from 0 to 1")
            }
            policy.ratio = ratio
        case .traceSlow: policy.slowNanoseconds = try Self.duration(text)
        case .serviceName: serviceName = text.isEmpty ? "aerie" : text
        default: break
        }
    }

    /// What the settings have wrong together; `nil` if nothing.
    func conflict() -> String? {
        guard let endpoint else { return nil }
        do throws(AerieError) {
            _ = try collector(at: endpoint)
            return nil
        } catch { return error.message }
    }

    func collector(at url: String) throws(AerieError) -> OTLPEndpoint {
        try OTLPEndpoint(url, transport: transport, headers: headers, certificateFile: certificateFile)
    }

    /// `5ms`, `0.5s`, `800us`; `nil` for `off`. In nanoseconds.
    private static func duration(_ text: String) throws(AerieError) -> UInt64? {
        if text == "off" { return nil }
        let units: [(String, Double)] = [("us", 1e3), ("ms", 1e6), ("s", 1e9)]
        guard let unit = units.first(where: { text.hasSuffix($0.0) }),
            let number = Double(text.dropLast(unit.0.count)), number >= 0, number * unit.1 <= 3.6e12
        else { throw .invalid("", "\"\(text.prefix(40))\" is no time; write 5ms, 800us, 0.5s or off") }
        return UInt64(number * unit.1)
    }
}

extension Configuration.Setting {
    /// OpenTelemetry's and Seldon's own names of the setting, the more special first; Aerie's name goes before them.
    var standardVariables: [String] {
        switch self {
        case .otlpEndpoint: ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]
        case .otlpProtocol: ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]
        case .otlpHeaders: ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"]
        case .otlpCertificate: ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"]
        case .traceRatio: ["OTEL_TRACES_SAMPLER_ARG"]
        case .allowedOrigins: ["CORS_ALLOWED_ORIGINS"]
        case .serviceName: ["OTEL_SERVICE_NAME"]
        default: []
        }
    }
}
