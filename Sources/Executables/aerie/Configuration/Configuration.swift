import AerieCore
import EmbedTexts
import InferenceAPI
import Logging
import StoreRedis

/// How `aerie up` runs. Every setting has one name, written as a flag (`--data-dir`), in the environment
/// (`AERIE_DATA_DIR`) and in the file (`data-dir:`); a flag goes before the environment, and that before the file.
struct Configuration: Sendable, Equatable {
    /// Everything that is kept; made if it is not there.
    var dataDirectory = ".aerie"
    /// Where experiments, runs, the registry and resources are kept.
    var metadata = MetadataLocation.sqlite
    /// Where artifacts are kept.
    var artifacts = ArtifactLocation.files(nil)
    /// Where feature values are kept for reading online.
    var online = OnlineLocation.lmdb
    /// Room of each event loop for rows of Redis until that says that they have changed, in bytes; 0 for none.
    var onlineCache = 32 << 20
    var http = ListenAddress(host: "127.0.0.1", port: 8080)
    var grpc = ListenAddress(host: "127.0.0.1", port: 8081)
    var inferenceHTTP = ListenAddress(host: "127.0.0.1", port: 8000)
    var inferenceGRPC = ListenAddress(host: "127.0.0.1", port: 8001)
    /// Online features over Feast's HTTP protocol; `nil` for Feast's own port where that is free.
    var feastHTTP: ListenAddress?
    var logLevel = Logger.Level.info
    /// Event loops of the data plane; `nil` for one each processor.
    var inferenceLoops: Int?
    /// Milliseconds that requests may wait for a thread while more come than can be answered.
    var queueDelayTarget = 5
    /// The longest request body that the data plane takes, in bytes.
    var maximumBody = 64 << 20
    /// Whose pages may ask the data plane from a browser; `nil` for nobody's.
    var allowedOrigins: AllowedOrigins?
    /// Room for answers that are given again, in bytes; models opt in.
    var responseCache = 64 << 20
    /// Bytes of logged predictions that are kept; the oldest go first.
    var predictionLogBytes = 1 << 30
    /// Where several servers keep those answers together: `redis://…` or `redis-cluster://…`. Never shown.
    var sharedResponses: String?
    /// Room for models that are loaded when they are asked for, in bytes.
    var modelMemory = 2 << 30
    /// One online read in so many is kept and compared with the offline values; 0 for none.
    var featureSample = 1000
    /// Whether the versions of a feature view are kept apart online, and each can be read.
    var keepsFeatureViewVersions = false
    /// The Python that computes feature views which are written in it; `nil` for none.
    var featurePython: String?
    /// How long a function of a feature view may take, in milliseconds.
    var featurePythonLimit = 10_000
    /// Which model makes vectors of texts.
    var embedding = EmbeddingSettings()
    /// Accept connections from other machines though nobody has to say who they are.
    var isInsecure = false
    /// The most memory that one piece of offline work uses before it spills, in bytes; `nil` for 80 % of the machine's.
    var sqlMemory: Int?
    /// Where traces of predictions go, and which.
    var tracing = TracingSettings()
    /// Where the native libraries are; `nil` to look in the usual places.
    var nativeDirectory: String?

    /// One setting, by its name in flags and the file.
    enum Setting: String, CaseIterable, Sendable {
        case dataDirectory = "data-dir"
        case metadata, artifacts, online
        case onlineCache = "online-cache"
        case http, grpc
        case inferenceHTTP = "inference-http"
        case inferenceGRPC = "inference-grpc"
        case feastHTTP = "feast-http"
        case featureSample = "feature-sample"
        case featureViewVersions = "feature-view-versions"
        case featurePython = "feature-python", featurePythonLimit = "feature-python-limit"
        case embeddingURL = "embedding-url", embeddingModel = "embedding-model", embeddingKey = "embedding-key",
            embeddingDimensions = "embedding-dimensions", embeddingTimeout = "embedding-timeout"
        case logLevel = "log-level"
        case inferenceLoops = "inference-loops"
        case queueDelayTarget = "queue-delay-target"
        case maximumBody = "max-body"
        case allowedOrigins = "cors-origins"
        case responseCache = "response-cache"
        case predictionLogBytes = "prediction-log-size"
        case sharedResponses = "shared-responses"
        case modelMemory = "model-memory"
        case isInsecure = "insecure"
        case sqlMemory = "sql-memory"
        case nativeDirectory = "native-dir"
        case otlpEndpoint = "otlp-endpoint", otlpProtocol = "otlp-protocol", otlpHeaders = "otlp-headers",
            otlpCertificate = "otlp-certificate"
        case traceRatio = "trace-ratio", traceSlow = "trace-slow", serviceName = "service-name"

        var flag: String { "--\(rawValue)" }
        var variable: String { "AERIE_" + rawValue.uppercased().map { $0 == "-" ? "_" : String($0) }.joined() }
    }

    /// Takes over one setting as it was written.
    /// - Returns: what is wrong with it; `nil` if nothing is.
    mutating func set(_ setting: Setting, _ text: String) -> String? {
        do {
            switch setting {
            case .dataDirectory: dataDirectory = try Self.path(text)
            case .metadata: metadata = try MetadataLocation(text)
            case .artifacts: artifacts = try ArtifactLocation(text)
            case .online: online = try OnlineLocation(text)
            case .onlineCache: onlineCache = text == "0" ? 0 : try Self.bytes(text)
            case .http: http = try ListenAddress(text)
            case .grpc: grpc = try ListenAddress(text)
            case .inferenceHTTP: inferenceHTTP = try ListenAddress(text)
            case .inferenceGRPC: inferenceGRPC = try ListenAddress(text)
            case .feastHTTP: feastHTTP = try ListenAddress(text)
            case .featureSample: featureSample = try Self.count(text, 0...1_000_000_000)
            case .featureViewVersions: keepsFeatureViewVersions = try Self.flag(text)
            case .featurePython: featurePython = try Self.path(text)
            case .featurePythonLimit: featurePythonLimit = try Self.milliseconds(text)
            case .embeddingURL: embedding.url = try EmbeddingEndpoint.base(text)
            case .embeddingModel: embedding.model = text.isEmpty ? nil : text
            case .embeddingKey: embedding.key = try .init(text)
            case .embeddingDimensions: embedding.dimensions = try Self.count(text, 1...65_536)
            case .embeddingTimeout: embedding.timeout = try Self.milliseconds(text)
            case .logLevel: logLevel = try Self.level(text)
            case .inferenceLoops: inferenceLoops = try Self.count(text, 1...256)
            case .queueDelayTarget: queueDelayTarget = try Self.milliseconds(text)
            case .maximumBody: maximumBody = try Self.bytes(text)
            case .allowedOrigins: allowedOrigins = text == "none" ? nil : try AllowedOrigins(text)
            case .responseCache: responseCache = try Self.bytes(text)
            case .predictionLogBytes: predictionLogBytes = try Self.bytes(text)
            case .sharedResponses: sharedResponses = try Self.redis(text)
            case .modelMemory: modelMemory = try Self.bytes(text, to: 1 << 42)
            case .isInsecure: isInsecure = try Self.flag(text)
            case .sqlMemory: sqlMemory = try Self.bytes(text, to: 1 << 40)
            case .nativeDirectory: nativeDirectory = try Self.path(text)
            case .otlpEndpoint, .otlpProtocol, .otlpHeaders, .otlpCertificate, .traceRatio, .traceSlow, .serviceName:
                try tracing.set(setting, text)
            }
            return nil
        } catch {
            return error.message
        }
    }

    private static func path(_ text: String) throws(AerieError) -> String {
        guard !text.isEmpty else { throw .invalid("", "is empty; name a folder") }
        guard !text.utf8.contains(0) else { throw .invalid("", "holds a zero byte") }
        return text
    }

    private static func redis(_ text: String) throws(AerieError) -> String {
        _ = try RedisAddress.parse(text)
        return text
    }

    private static func level(_ text: String) throws(AerieError) -> Logger.Level {
        guard let level = Logger.Level(rawValue: text.lowercased()) else {
            let known = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw .invalid("", "\"\(text.prefix(40))\" is not one of \(known)")
        }
        return level
    }

    private static func count(_ text: String, _ range: ClosedRange<Int>) throws(AerieError) -> Int {
        guard let value = Int(text), range.contains(value) else {
            throw .invalid(
                "", "\"\(text.prefix(40))\" is not a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return value
    }

    /// `1048576`, `64KB`, `16MiB`, `1GB`; a K is 1024.
    private static func bytes(_ text: String, to most: Int = 2 << 30) throws(AerieError) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }.lowercased()
        let factors = ["": 1, "b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        var short = unit
        if short.hasSuffix("ib") {
            short.removeLast(2)
        } else if short.count == 2, short.hasSuffix("b") {
            short.removeLast()
        }
        let limit = 1024...most
        guard let value = Int(digits), let factor = factors[short],
            case let (product, overflow) = value.multipliedReportingOverflow(by: factor), !overflow,
            limit.contains(product)
        else { throw .invalid("", "\"\(text.prefix(40))\" is not a size from 1KB to \(most >> 30)GB, such as 64MB") }
        return product
    }

    /// `500ms`, `10s`.
    private static func milliseconds(_ text: String) throws(AerieError) -> Int {
        let unit = text.hasSuffix("ms") ? (2, 1.0) : (1, 1000.0)
        guard text.hasSuffix("s"), let number = Double(text.dropLast(unit.0)), (1...3_600_000).contains(number * unit.1)
        else { throw .invalid("", "\"\(text.prefix(40))\" is no time from 1ms to 3600s; write 500ms or 10s") }
        return Int(number * unit.1)
    }

    private static func flag(_ text: String) throws(AerieError) -> Bool {
        switch text.lowercased() {
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default: throw .invalid("", "\"\(text.prefix(40))\" is neither true nor false")
        }
    }

    var listeners: [(setting: Setting, address: ListenAddress)] {
        [(.http, http), (.grpc, grpc), (.inferenceHTTP, inferenceHTTP), (.inferenceGRPC, inferenceGRPC)]
            + (feastHTTP.map { [(.feastHTTP, $0)] } ?? [])
    }
}
