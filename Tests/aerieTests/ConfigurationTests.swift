import AerieCore
import Logging
import Testing

@testable import aerie

@Suite struct ConfigurationTests {
    static func load(
        _ text: String? = nil, flags: [Configuration.Setting: String] = [:], environment: [String: String] = [:]
    ) throws(AerieError) -> Configuration {
        try Configuration.load(
            flags: flags, environment: environment, file: text.map { .init(name: "aerie.yaml", text: $0) })
    }

    @Test("nothing written means the defaults")
    func defaults() throws {
        #expect(try Self.load() == Configuration())
        #expect(try Self.load("") == Configuration())
        #expect(try Self.load("# nothing\nhttp:\n") == Configuration())
    }

    @Test("a flag goes before the environment, and that before the file")
    func precedence() throws {
        let text = "http: 127.0.0.1:1\ngrpc: 127.0.0.1:2\ndata-dir: file\ninsecure: true\nmax-body: 1MB\n"
            + "inference-loops: 3"
        let configuration = try Self.load(
            text, flags: [.http: "127.0.0.1:0"],
            environment: [
                "AERIE_HTTP": "127.0.0.1:5", "AERIE_GRPC": "[::1]:6", "AERIE_LOG_LEVEL": "DEBUG", "AERIE_X": "?",
            ])
        #expect(configuration.http == ListenAddress(host: "127.0.0.1", port: 0))
        #expect(configuration.grpc == ListenAddress(host: "::1", port: 6))
        #expect(configuration.dataDirectory == "file" && configuration.logLevel == .debug)
        #expect(configuration.isInsecure && configuration.maximumBody == 1 << 20 && configuration.inferenceLoops == 3)
    }

    @Test("a wrong setting is an error with its name, and its line in a file", arguments: [
        ("htpp: 127.0.0.1:1", "htpp", 1, "did you mean \"http\""),
        ("\ndata_dir: x", "data_dir", 2, "did you mean \"data-dir\""),
        ("http: 8080", "http", 1, "has no port; write host:port"), ("http: :8080", "http", 1, "names no host"),
        ("http: 127.0.0.1:99999", "http", 1, "between 0 and 65535"), (
            "http: '127.0.0.1:'", "http", 1, "between 0 and 65535"),
        ("http: 127.0.0.1:-1", "http", 1, "between 0 and 65535"), ("http: '::1:80'", "http", 1, "in brackets"),
        ("http: '[xyz]:80'", "http", 1, "no IPv6 address"), ("http: http://x:80", "http", 1, "colon in its host"),
        ("http: a b:80", "http", 1, "no host name"),
        ("grpc: 0.0.0.0:8081", "grpc", 1, "--insecure"), ("http: example.com:80", "http", 1, "--insecure"),
        ("log-level: loud", "log-level", 1, "not one of trace"), (
            "inference-loops: 0", "inference-loops", 1, "from 1 to 256"),
        ("inference-loops: two", "inference-loops", 1, "from 1 to 256"), (
            "max-body: 1", "max-body", 1, "from 1KB to 2GB"),
        ("max-body: 9999999999999999999GB", "max-body", 1, "from 1KB to 2GB"), (
            "max-body: 1TB", "max-body", 1, "from 1KB"),
        ("cors-origins: shop.example", "cors-origins", 1, "write its scheme too"),
        ("insecure: maybe", "insecure", 1, "neither true nor false"), ("data-dir: ''", "data-dir", 1, "is empty"),
        ("data-dir: [a]", "data-dir", 1, "one value was expected"), ("- a", "", 1, "settings were expected"),
        ("http: [", "", 1, "line"), ("http: 127.0.0.1:1\nhttp: 127.0.0.1:2", "http", 1, "written twice"),
        ("http: 127.0.0.1:1\n---\ngrpc: 127.0.0.1:2", "", 3, "several documents"),
        ("\ngrpc: 127.0.0.1:8080", "grpc", 2, "taken by http already"),
        ("embedding-url: localhost", "embedding-url", 1, "no address such as http://"),
        ("embedding-url: http://127.0.0.1:1/v1", "embedding-url", 1, "set embedding-model"),
        ("embedding-model: m", "embedding-model", 1, "set embedding-url"),
        ("embedding-key: sk-1", "embedding-key", 1, "write env:OPENAI_API_KEY or file:"),
        ("embedding-dimensions: 0", "embedding-dimensions", 1, "from 1 to 65536"),
    ] as [(String, String, Int, String)])
    func wrongFile(_ text: String, _ field: String, _ line: Int, _ words: String) throws {
        let error = #expect(throws: AerieError.self) { try Self.load(text) }
        let detail = error?.details.first
        #expect(error?.code == .invalidArgument && error?.details.count == 1 && detail?.field == field)
        #expect("\(detail?.problem ?? "") \(error?.message ?? "")".contains(words), "\(String(describing: error))")
        #expect(abs((detail?.line ?? -9) - line) <= (words == "line" ? 1 : 0))
    }

    @Test("a model of texts and its server belong together")
    func embedding() throws {
        let embedding = try Self.load(
            "embedding-url: https://models.example/v1/\nembedding-key: env:KEY\nembedding-timeout: 500ms",
            environment: ["AERIE_EMBEDDING_MODEL": "m"]
        ).embedding
        #expect(embedding.url == "https://models.example/v1" && embedding.model == "m" && embedding.timeout == 500)
        #expect(embedding.key == .variable("KEY") && embedding.dimensions == nil)
    }

    @Test("flags and variables are reported by the names under which they were written")
    func wrongFlags() throws {
        let error = #expect(throws: AerieError.self) {
            try Self.load("log-level: loud\nx: 1", flags: [.grpc: "nowhere"], environment: ["AERIE_MAX_BODY": "huge"])
        }
        #expect(error?.details.map(\.field) == ["x", "log-level", "AERIE_MAX_BODY", "--grpc"])
        #expect(error?.details.map(\.line) == [2, 1, nil, nil])
    }

    @Test("loopback addresses need no --insecure", arguments: ["127.0.0.1:0", "127.8.9.1:0", "localhost:0", "[::1]:0"])
    func loopback(_ address: String) throws {
        #expect(try Self.load(flags: [.http: address]).http.isLoopback)
        #expect(try Self.load(flags: [.http: address]).http.description == address)
    }

    @Test("other addresses are taken once that is accepted", arguments: ["0.0.0.0:0", "127.evil.com:0", "[::]:0"])
    func insecure(_ address: String) throws {
        #expect(throws: AerieError.self) { try Self.load(flags: [.http: address]) }
        #expect(throws: Never.self) { try Self.load(flags: [.http: address, .isInsecure: "true"]) }
    }

    @Test("the environment's names follow from the flags'")
    func names() {
        #expect(Configuration.Setting.inferenceHTTP.variable == "AERIE_INFERENCE_HTTP")
        #expect(Configuration.Setting.dataDirectory.variable == "AERIE_DATA_DIR")
    }
}
