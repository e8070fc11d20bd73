// swift-tools-version: 6.1
import Foundation
import PackageDescription

// The house has five floors, and an import may only point down. `room` refuses a dependency that points up,
// so the mistake stops the build and not a review. `dev/check-layers` reads the imports themselves.
enum Floor: Int {
    case c, foundation, capability, adapter, edge, executable

    var folder: String {
        switch self {
        case .c: "C"
        case .foundation: "Foundations"
        case .capability: "Capabilities"
        case .adapter: "Adapters"
        case .edge: "Edges"
        case .executable: "Executables"
        }
    }

    /// The floors that a target on this floor may use besides its own neighbours allowed below.
    func mayUse(_ other: Floor) -> Bool {
        switch self {
        case .c: other == .c
        case .foundation: other == .foundation
        case .capability: other == .foundation || other == .capability
        case .adapter: other == .c || other == .foundation || other == .capability || other == .adapter
        case .edge: other == .foundation || other == .capability || other == .edge
        case .executable: true
        }
    }
}

struct Room {
    let name: String
    let floor: Floor
    let uses: [String]
    let packages: [Target.Dependency]
    let testUses: [String]
    let hasTests: Bool
}

nonisolated(unsafe) var rooms: [String: Room] = [:]
nonisolated(unsafe) var order: [String] = []
nonisolated(unsafe) var suites: [(name: String, uses: [String], packages: [Target.Dependency])] = []

func room(
    _ floor: Floor, _ name: String, uses: [String] = [], packages: [Target.Dependency] = [],
    tests: Bool = true, testUses: [String] = []
) {
    for used in uses {
        guard let other = rooms[used] else { fatalError("\(name) uses \(used), which is not declared above it") }
        precondition(floor.mayUse(other.floor), "\(name) (\(floor)) may not use \(used) (\(other.floor)): imports point down")
    }
    rooms[name] = Room(name: name, floor: floor, uses: uses, packages: packages, testUses: testUses, hasTests: tests)
    order.append(name)
}

func shim(_ name: String, uses: [String] = []) { room(.c, name, uses: uses, tests: false) }
func foundation(_ name: String, uses: [String] = [], packages: [Target.Dependency] = [], tests: Bool = true) {
    room(.foundation, name, uses: uses, packages: packages, tests: tests)
}
func capability(_ name: String, uses: [String], packages: [Target.Dependency] = [], tests: Bool = true, testUses: [String] = []) {
    room(.capability, name, uses: uses, packages: packages, tests: tests, testUses: testUses)
}
func adapter(_ name: String, uses: [String], packages: [Target.Dependency] = [], tests: Bool = true, testUses: [String] = []) {
    // Two technologies never import each other; how a search is said in SQL is the one thing databases share.
    for used in uses where rooms[used]?.floor == .adapter {
        precondition(used == "SearchSQL", "\(name) may not use the adapter \(used)")
    }
    room(.adapter, name, uses: uses, packages: packages, tests: tests, testUses: testUses)
}
func edge(_ name: String, uses: [String], packages: [Target.Dependency] = [], tests: Bool = true, testUses: [String] = []) {
    // Two protocols never import each other; the table of errors is the one thing edges share.
    for used in uses where rooms[used]?.floor == .edge {
        precondition(used == "ErrorMapping", "\(name) may not use the edge \(used)")
    }
    room(.edge, name, uses: uses, packages: packages, tests: tests, testUses: testUses)
}


/// One suite of tests that several adapters of the same port have to pass, in a target of its own.
func conformance(_ name: String, uses: [String], packages: [Target.Dependency] = []) {
    suites.append((name, uses, packages))
}

func product(_ name: String, _ package: String) -> Target.Dependency { .product(name: name, package: package) }
let log = product("Logging", "swift-log")
let nioCore = product("NIOCore", "swift-nio")
let nioPosix = product("NIOPosix", "swift-nio")
let nioHTTP1 = product("NIOHTTP1", "swift-nio")
let nioHTTP2 = product("NIOHTTP2", "swift-nio-http2")
let nioTLS = product("NIOTLS", "swift-nio")
let nioSSL = product("NIOSSL", "swift-nio-ssl")
let nioEmbedded = product("NIOEmbedded", "swift-nio")
let nioHTTPTypes = product("NIOHTTPTypes", "swift-nio-extras")
let hummingbird = product("Hummingbird", "hummingbird")
let hummingbirdTesting = product("HummingbirdTesting", "hummingbird")
let grdb = product("GRDB", "GRDB.swift")
let yams = product("Yams", "Yams")
let crypto = product("Crypto", "swift-crypto")
let arguments = product("ArgumentParser", "swift-argument-parser")
let httpClient = product("AsyncHTTPClient", "async-http-client")
let deque = product("DequeModule", "swift-collections")
let lifecycle = product("ServiceLifecycle", "swift-service-lifecycle")
let histogram = product("Histogram", "hdrhistogram-swift")
let nioHPACK = product("NIOHPACK", "swift-nio-http2")

// MARK: C

shim("CLibrary")
shim("CDuckDB", uses: ["CLibrary"])
shim("COnnxRuntime")
shim("CLightGBM", uses: ["CLibrary"])
shim("CPostgres", uses: ["CLibrary"])
shim("CLMDB", uses: ["CLibrary"])
shim("CZlib", uses: ["CLibrary"])
shim("CFiles")
shim("CTreeSplits")
shim("CRdkafka", uses: ["CLibrary"])

// MARK: Foundations

foundation("AerieCore")
foundation("AerieJSON", uses: ["AerieCore"])
foundation("AerieData", uses: ["AerieCore"], tests: false)
foundation("AerieWire", uses: ["AerieCore"])
foundation("AerieArrow", uses: ["AerieCore"], tests: false)
foundation("AerieGRPC", uses: ["AerieCore", "AerieWire"], packages: [nioCore, nioPosix, nioHTTP2])
foundation("AerieTelemetry", uses: ["AerieCore"])
foundation("AerieHTTP", uses: ["AerieCore"], packages: [nioCore, nioPosix])
foundation("AerieYAML", uses: ["AerieCore", "AerieJSON"], packages: [yams])
foundation("AerieResources", uses: ["AerieCore", "AerieJSON", "AerieYAML"], packages: [crypto, log])

// MARK: Capabilities

capability("Experiments", uses: ["AerieCore", "AerieJSON"])
capability("Registry", uses: ["AerieCore", "AerieJSON", "Experiments"])
capability("Webhooks", uses: ["AerieCore", "AerieJSON", "Experiments", "Registry"], packages: [crypto, log])
capability("Retention", uses: ["AerieCore", "Experiments", "Registry"], packages: [log])
capability("Imports", uses: ["AerieCore", "Experiments", "Registry"], tests: false)
capability("Datasets", uses: ["AerieCore", "AerieArrow", "AerieData", "AerieJSON"])
capability("Quality", uses: ["AerieCore", "AerieJSON", "AerieResources", "Datasets"], testUses: ["StoreDuckDB"])
capability("Streaming", uses: ["AerieCore", "AerieWire"])
capability("Expressions", uses: [], testUses: ["AerieCore", "Datasets", "StoreDuckDB"])
capability("Features", uses: ["AerieCore", "AerieArrow", "AerieJSON", "AerieWire", "AerieTelemetry", "AerieResources", "Datasets", "Quality", "Streaming", "Expressions"],
           packages: [log], testUses: ["StoreDuckDB", "StoreFiles", "StoreLMDB", "StoreSQLite"])
capability("Training", uses: ["AerieCore", "AerieData", "AerieJSON"])
capability("Pipelines", uses: ["AerieCore", "AerieJSON", "AerieYAML", "AerieResources"], packages: [crypto, log])
capability("Steps", uses: ["AerieCore", "AerieJSON", "AerieData", "AerieResources", "Datasets", "Quality", "Features", "Training", "Pipelines"],
           packages: [crypto], testUses: ["AerieYAML", "StoreDuckDB", "TrainLightGBM"])
capability("Explain", uses: ["AerieCore", "AerieJSON"])
capability("Serving", uses: ["AerieCore", "AerieJSON", "AerieYAML", "AerieData", "AerieTelemetry", "AerieResources", "Explain", "Registry"], packages: [crypto, log])
capability("Predictions", uses: ["AerieCore", "AerieData", "AerieJSON", "AerieTelemetry", "Datasets", "Serving"], packages: [log],
           testUses: ["StoreDuckDB", "StorePredictions"])
capability("CloudEvents", uses: ["AerieCore", "AerieTelemetry"], packages: [log])
capability("RequestTracing", uses: ["AerieCore", "AerieTelemetry"], packages: [log])
capability("Capacity", uses: ["AerieCore", "AerieJSON"])
capability("Load", uses: ["AerieCore", "AerieData", "AerieJSON", "AerieWire"], packages: [histogram])
capability("Optimization", uses: ["AerieCore", "AerieData", "AerieJSON", "Load", "Serving"])

// MARK: Adapters

adapter("SearchSQL", uses: ["AerieCore", "AerieJSON", "Experiments"], tests: false)
adapter("StoreSQLite", uses: ["SearchSQL", "AerieCore", "AerieJSON", "AerieResources", "Experiments", "Features", "Registry", "Webhooks", "Retention", "Imports", "Pipelines", "Serving"],
        packages: [grdb, log])
adapter("StorePostgres", uses: ["CPostgres", "SearchSQL", "AerieCore", "AerieJSON", "AerieResources", "Experiments", "Features", "Registry", "Webhooks", "Retention", "Imports", "Pipelines", "Serving"],
        packages: [crypto, log], tests: false)
adapter("StoreFiles", uses: ["CFiles", "AerieCore", "Experiments", "Features"], packages: [crypto])
adapter("StoreObjects", uses: ["AerieCore", "Experiments"], packages: [httpClient, nioCore, nioHTTP1, crypto], tests: false)
adapter("SendWebhooks", uses: ["AerieCore", "Webhooks"], packages: [httpClient, nioCore, log])
adapter("ReadMLflow", uses: ["AerieCore", "AerieJSON", "AerieYAML", "Experiments", "Registry", "Imports"], packages: [grdb, httpClient, nioCore, nioHTTP1], tests: false)
adapter("StoreDuckDB", uses: ["CDuckDB", "AerieCore", "AerieArrow", "AerieData", "Datasets"])
adapter("ReadFeast", uses: ["AerieCore", "AerieWire"], packages: [grdb], tests: false)
adapter("StorePushedRows", uses: ["AerieCore", "Datasets", "Features"], testUses: ["StoreDuckDB"])
adapter("StoreLMDB", uses: ["CLMDB", "AerieCore", "AerieWire", "Features", "Streaming"], packages: [crypto])
adapter("LogKafka", uses: ["CRdkafka", "AerieCore", "Streaming"], tests: false)
adapter("StoreRedis", uses: ["AerieCore", "AerieTelemetry", "AerieWire", "Features", "Serving"], packages: [crypto, nioCore, nioPosix, deque], tests: false)
adapter("CompressZlib", uses: ["CZlib", "AerieCore"])
adapter("InferTrees", uses: ["CTreeSplits", "AerieCore", "AerieJSON", "AerieData", "Explain", "Serving"])
adapter("InferONNX", uses: ["COnnxRuntime", "AerieCore", "AerieJSON", "AerieData", "Serving"])
adapter("TrainLightGBM", uses: ["CLightGBM", "AerieCore", "AerieJSON", "AerieData", "Training"])
adapter("RunSubprocess", uses: ["AerieCore", "AerieJSON", "AerieResources", "Features", "Pipelines"], packages: [log])
adapter("ConvertModels", uses: ["AerieCore", "AerieData", "AerieJSON", "Optimization", "Pipelines"], tests: false)
adapter("StorePredictions", uses: ["AerieCore", "AerieJSON", "Datasets", "Predictions"], tests: false)
adapter("SendCloudEvents", uses: ["AerieCore", "CloudEvents"], packages: [httpClient, nioCore, nioHTTP1], tests: false)
adapter("EmbedTexts", uses: ["AerieCore", "AerieJSON", "Features"], packages: [httpClient, nioCore, nioHTTP1], tests: false)
adapter("SendOTLP", uses: ["AerieCore", "AerieWire", "RequestTracing"], packages: [httpClient, nioCore, nioPosix, nioHTTP1, nioHTTP2, nioHPACK, nioSSL, nioTLS], tests: false)
adapter("SendLoad", uses: ["AerieCore", "Load"], packages: [nioCore, nioPosix, nioHPACK])

// MARK: Edges

edge("ErrorMapping", uses: ["AerieCore", "AerieGRPC"], tests: false)
edge("MLflowAPI", uses: ["AerieCore", "AerieJSON", "ErrorMapping", "Experiments", "Registry", "Webhooks"], packages: [hummingbird, crypto, log],
     testUses: ["StoreSQLite", "StoreFiles"])
edge("PlatformAPI", uses: ["AerieCore", "AerieJSON", "ErrorMapping", "Explain", "AerieResources", "AerieTelemetry", "Features", "Streaming", "Pipelines", "Serving", "Registry", "Retention", "Imports", "Predictions"],
     packages: [hummingbird, log], testUses: ["StoreSQLite"])
edge("FeastAPI", uses: ["AerieCore", "AerieJSON", "AerieWire", "AerieHTTP", "AerieGRPC", "AerieArrow", "AerieTelemetry", "AerieResources", "ErrorMapping", "Datasets", "Features"],
     packages: [hummingbird, nioCore, crypto, log], testUses: ["StoreSQLite", "StoreLMDB", "StoreDuckDB"])
edge("InferenceAPI", uses: ["AerieCore", "AerieJSON", "AerieData", "AerieHTTP", "AerieGRPC", "AerieTelemetry", "ErrorMapping", "Explain", "Serving", "RequestTracing", "CloudEvents"],
     packages: [nioCore, nioPosix, nioHTTP2, log], testUses: ["CompressZlib"])
edge("Console", uses: ["AerieCore", "AerieJSON", "AerieYAML", "AerieData", "AerieTelemetry", "ErrorMapping", "Explain", "AerieResources", "Experiments", "Features", "Registry", "Pipelines", "Serving", "RequestTracing"],
     packages: [hummingbird, log])

// MARK: Promises that several adapters keep

conformance("MetadataConformance", uses: ["AerieCore", "AerieJSON", "AerieResources", "Experiments", "Features", "Registry", "Retention", "Webhooks", "Pipelines", "Serving", "StoreSQLite", "StorePostgres"],
            packages: [grdb])
conformance("ArtifactConformance", uses: ["AerieCore", "Experiments", "StoreFiles", "StoreObjects"])
conformance("OnlineConformance", uses: ["AerieCore", "AerieResources", "AerieTelemetry", "Datasets", "Features", "StoreLMDB", "StoreRedis", "StoreSQLite"],
            packages: [nioCore, nioPosix])

// MARK: The executable: commands, roles, composition

room(.executable, "aerie", uses: order,
     packages: [arguments, hummingbird, httpClient, lifecycle, nioCore, nioHTTPTypes, nioPosix, yams, crypto, log], tests: true)

// `AERIE_ONLY=Registry swift build` builds one room and what it stands on (comma-separated for several).
if let only = ProcessInfo.processInfo.environment["AERIE_ONLY"], !only.isEmpty {
    let asked = only.split(separator: ",").map(String.init)
    var kept: Set<String> = []
    func keep(_ name: String) {
        guard let room = rooms[name] else { fatalError("AERIE_ONLY names \(name), which is no target") }
        if kept.insert(name).inserted { room.uses.forEach(keep) }
    }
    suites = suites.filter { asked.contains($0.name) }
    suites.forEach { $0.uses.forEach(keep) }
    for name in asked where !suites.contains(where: { $0.name == name }) {
        keep(name)
        rooms[name]!.testUses.forEach(keep)
    }
    order = order.filter(kept.contains)
    for name in order where !asked.contains(name) {
        let old = rooms[name]!
        rooms[name] = Room(name: name, floor: old.floor, uses: old.uses, packages: old.packages, testUses: [], hasTests: false)
    }
}

let swiftSettings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

var targets: [Target] = []
for name in order {
    let room = rooms[name]!
    let dependencies = room.uses.map { Target.Dependency.target(name: $0) } + room.packages
    let path = "Sources/\(room.floor.folder)/\(name)"
    switch room.floor {
    case .c:
        targets.append(.target(name: name, dependencies: dependencies, path: path, linkerSettings: [.linkedLibrary("dl")]))
    case .executable:
        targets.append(.executableTarget(name: name, dependencies: dependencies, path: path,
                                         swiftSettings: swiftSettings))
    default:
        targets.append(.target(name: name, dependencies: dependencies, path: path, swiftSettings: swiftSettings))
    }
    if room.hasTests {
        targets.append(.testTarget(
            name: "\(name)Tests",
            dependencies: [.target(name: name)] + dependencies + room.testUses.map { .target(name: $0) }
                // The REST edges are tested through Hummingbird's in-process client.
                + (["MLflowAPI", "PlatformAPI", "Console"].contains(name) ? [hummingbirdTesting] : [])
                + (name == "AerieGRPC" ? [nioEmbedded] : []),
            path: "Tests/\(name)Tests", swiftSettings: swiftSettings))
    }
}

for suite in suites {
    targets.append(.testTarget(
        name: "\(suite.name)Tests", dependencies: suite.uses.map { .target(name: $0) } + suite.packages,
        path: "Tests/\(suite.name)Tests", swiftSettings: swiftSettings))
}

// The fuzzers stand beside the house and look into its rooms as tests do, so they build in debug only.
if order.contains("aerie") {
    let rooms = ["AerieCore", "AerieData", "AerieGRPC", "AerieHTTP", "AerieJSON", "AerieResources", "AerieTelemetry",
                 "AerieWire", "AerieYAML", "CompressZlib", "FeastAPI", "InferONNX", "InferTrees", "InferenceAPI", "Serving"]
    targets += [
        .target(name: "Fuzzing", dependencies: ["AerieJSON", "AerieTelemetry"], path: "Fuzz/Fuzzing",
                swiftSettings: swiftSettings),
        .executableTarget(
            name: "aerie-fuzz",
            dependencies: ["Fuzzing", arguments, log, nioCore, nioPosix, nioEmbedded, nioHTTP2, nioHPACK]
                + rooms.map { Target.Dependency.target(name: $0) },
            path: "Fuzz/aerie-fuzz", swiftSettings: swiftSettings),
        .testTarget(name: "FuzzingTests", dependencies: ["Fuzzing", "aerie-fuzz"], path: "Tests/FuzzingTests",
                    swiftSettings: swiftSettings),
    ]
}

let package = Package(
    name: "aerie",
    platforms: [.macOS(.v15)],
    products: (order.contains("aerie") ? [.executable(name: "aerie", targets: ["aerie"])] : [])
        + (order.contains("InferTrees") ? [.library(name: "InferTrees", targets: ["InferTrees", "Serving"])] : [])
        + (order.contains("StoreLMDB")
            ? [.library(name: "StoreLMDB", targets: ["StoreLMDB", "Streaming", "Features", "AerieCore"])] : [])
        + (order.contains("StoreSQLite")
            ? [.library(name: "StoreSQLite", targets: ["StoreSQLite", "AerieResources"])] : []),
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.1.0"),
        .package(url: "https://github.com/apple/swift-crypto", "3.12.0"..<"5.0.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-extras", from: "1.35.0"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.0"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
    ],
    targets: targets
)
