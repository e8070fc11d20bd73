// swift-tools-version: 6.1
import PackageDescription

// A package of its own, so that the product's graph stays small.
let package = Package(
    name: "benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "aerie", path: "..")],
    targets: [
        .target(name: "AllocationCounter", path: "AllocationCounter"),
        .executableTarget(
            name: "StreamEngine", dependencies: [.product(name: "StoreLMDB", package: "aerie")],
            path: "StreamEngine", exclude: ["freshness.py"]),
        .executableTarget(
            name: "OnlineReads",
            dependencies: [
                "AllocationCounter", .product(name: "StoreLMDB", package: "aerie"),
                .product(name: "StoreSQLite", package: "aerie"),
            ], path: "OnlineReads"),
        .executableTarget(
            name: "TreeEngine",
            dependencies: ["AllocationCounter", .product(name: "InferTrees", package: "aerie")],
            path: "TreeEngine", exclude: ["models.py"], linkerSettings: [.linkedLibrary("dl")]),
    ]
)
