import AerieCore
import ArgumentParser
import Foundation

/// The flags of `aerie up`, and the way from them to a `Configuration`.
struct ConfigurationOptions: ParsableArguments {
    static let defaultFile = "aerie.yaml"

    @Option(help: "The configuration file; \(ConfigurationOptions.defaultFile) if that is there.")
    var config: String?
    @Option(help: "The folder that keeps everything. (default: .aerie)")
    var dataDir: String?
    @Option(help: "Experiments, runs, models, registry: sqlite or postgresql://user@host/db. (default: sqlite)")
    var metadata: String?
    @Option(help: "Artifacts: files (in the data folder) or a folder. (default: files)")
    var artifacts: String?
    @Option(help: "Online features: lmdb, redis://host:6379 or redis-cluster://host:7000,… (default: lmdb)")
    var online: String?
    @Option(help: "Rows of Redis that each event loop keeps until Redis says that they have changed; 0: none. (default: 32MB)")
    var onlineCache: String?
    @Option(help: "Control plane and console, host:port; port 0 for a free one. (default: 127.0.0.1:8080)")
    var http: String?
    @Option(help: "Control plane gRPC. (default: 127.0.0.1:8081)")
    var grpc: String?
    @Option(help: "Inference over HTTP. (default: 127.0.0.1:8000)")
    var inferenceHttp: String?
    @Option(help: "Inference over gRPC. (default: 127.0.0.1:8001)")
    var inferenceGrpc: String?
    @Option(help: "Online features over Feast's HTTP protocol. (default: 127.0.0.1:6566, if that is free)")
    var feastHttp: String?
    @Option(help: "Keep one online read in so many, to compare it with the offline values; 0: none. (default: 1000)")
    var featureSample: String?
    @Flag(help: "Keep the versions of a feature view apart online, and read each as view@v2:feature.")
    var featureViewVersions = false
    @Option(help: "The Python interpreter that runs functions of feature views; it then runs what is applied. (default: none)")
    var featurePython: String?
    @Option(help: "How long such a function may take. (default: 10s)")
    var featurePythonLimit: String?
    @Option(help: "Makes vectors of the texts that rows are searched with, by OpenAI's API, such as http://127.0.0.1:11434/v1.")
    var embeddingUrl: String?
    @Option(help: "The name of that model.")
    var embeddingModel: String?
    @Option(help: "Where the key to it stands: env:NAME or file:PATH. (default: none is sent)")
    var embeddingKey: String?
    @Option(help: "The length to ask for, of a model that has several.")
    var embeddingDimensions: String?
    @Option(help: "How long a request to it may take; it is tried twice at most. (default: 10s)")
    var embeddingTimeout: String?
    @Option(help: "trace, debug, info, notice, warning, error or critical. (default: info)")
    var logLevel: String?
    @Option(help: "Event loops of the data plane. (default: one each processor)")
    var inferenceLoops: String?
    @Option(help: "How long requests may wait for a slow model while more come than it can answer. (default: 5ms)")
    var queueDelayTarget: String?
    @Option(help: "The longest inference request. (default: 64MB)")
    var maxBody: String?
    @Option(help: "Pages that may ask the data plane from a browser: https://shop.example,… or *. (default: none)")
    var corsOrigins: String?
    @Option(help: "Room for the answers of models that keep theirs. (default: 64MB)")
    var responseCache: String?
    @Option(help: "Logged predictions that are kept; the oldest go first. (default: 1GB)")
    var predictionLogSize: String?
    @Option(help: "Memory of one piece of offline work before it spills, such as 4GB. (default: 80 % of the machine's)")
    var sqlMemory: String?
    @Option(help: "Answers that servers share, redis://host:6379 or redis-cluster://host:7000,…")
    var sharedResponses: String?
    @Option(help: "Room for models that are loaded when they are asked for. (default: 2GB)")
    var modelMemory: String?
    @Option(help: "Traces of predictions go to this OTLP collector, such as http://localhost:4318. (default: nowhere)")
    var otlpEndpoint: String?
    @Option(help: "http/protobuf or grpc. (default: http/protobuf)")
    var otlpProtocol: String?
    @Option(help: "Sent to the collector with each message: name=value,name=value.")
    var otlpHeaders: String?
    @Option(help: "Certificates (PEM) of who may vouch for a collector with TLS. (default: the machine's)")
    var otlpCertificate: String?
    @Option(help: "The share of the requests whose traces are kept whatever happens, 0 to 1. (default: 0)")
    var traceRatio: String?
    @Option(help: "Requests that take as long are traced whatever the ratio, such as 5ms; off for none. (default: 5ms)")
    var traceSlow: String?
    @Option(help: "The name under which traces are sent. (default: aerie)")
    var serviceName: String?
    @Option(help: "The folder of the native libraries.")
    var nativeDir: String?
    @Flag(name: .long, help: "Accept connections from other machines without authentication.")
    var insecure = false

    /// What was written on the command line.
    var flags: [Configuration.Setting: String] {
        var flags: [Configuration.Setting: String] = [:]
        flags[.dataDirectory] = dataDir
        flags[.metadata] = metadata
        flags[.predictionLogBytes] = predictionLogSize
        flags[.artifacts] = artifacts
        flags[.online] = online
        flags[.onlineCache] = onlineCache
        flags[.http] = http
        flags[.grpc] = grpc
        flags[.inferenceHTTP] = inferenceHttp
        flags[.inferenceGRPC] = inferenceGrpc
        flags[.feastHTTP] = feastHttp
        flags[.featureSample] = featureSample
        flags[.featurePython] = featurePython
        flags[.featurePythonLimit] = featurePythonLimit
        flags[.embeddingURL] = embeddingUrl
        flags[.embeddingModel] = embeddingModel
        flags[.embeddingKey] = embeddingKey
        flags[.embeddingDimensions] = embeddingDimensions
        flags[.embeddingTimeout] = embeddingTimeout
        flags[.logLevel] = logLevel
        flags[.inferenceLoops] = inferenceLoops
        flags[.queueDelayTarget] = queueDelayTarget
        flags[.maximumBody] = maxBody
        flags[.allowedOrigins] = corsOrigins
        flags[.responseCache] = responseCache
        flags[.sqlMemory] = sqlMemory
        flags[.modelMemory] = modelMemory
        flags[.sharedResponses] = sharedResponses
        flags[.nativeDirectory] = nativeDir
        flags[.otlpEndpoint] = otlpEndpoint
        flags[.otlpProtocol] = otlpProtocol
        flags[.otlpHeaders] = otlpHeaders
        flags[.otlpCertificate] = otlpCertificate
        flags[.traceRatio] = traceRatio
        flags[.traceSlow] = traceSlow
        flags[.serviceName] = serviceName
        if featureViewVersions { flags[.featureViewVersions] = "true" }
        if insecure { flags[.isInsecure] = "true" }
        return flags
    }

    /// Reads the file, if there is one, and puts everything together.
    /// - Throws: `notFound` for a file that was named and is not there; as `Configuration.load` else.
    func load(environment: [String: String] = ProcessInfo.processInfo.environment) throws(AerieError) -> Configuration {
        try Configuration.load(flags: flags, environment: environment, file: try file())
    }

    private func file() throws(AerieError) -> Configuration.File? {
        let name = config ?? Self.defaultFile
        guard let data = FileManager.default.contents(atPath: name) else {
            guard config != nil || FileManager.default.fileExists(atPath: name) else { return nil }
            throw .notFound("the configuration file \(name) is not there or cannot be read")
        }
        guard let text = String(validating: data, as: UTF8.self) else {
            throw .invalid("", "the configuration file \(name) is not UTF-8 text")
        }
        return Configuration.File(name: name, text: text)
    }
}
