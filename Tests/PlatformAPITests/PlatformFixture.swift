import AerieCore
import AerieJSON
import AerieResources
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import NIOCore
import PlatformAPI
import StoreSQLite

struct GadgetKind: ResourceKind {
    var name = "Gadget"
    var apiVersions = ["aerie.dev/v1"]
    var aliases = ["gd"]
    var columns: [(title: String, path: String)] { [("Size", "spec.size")] }
    var schema: FieldSchema {
        .object([
            Field("size", .integer(1...10), required: true),
            Field("replicas", .anyInteger, support: .accepted(note: "one is run")),
        ])
    }
}

struct NoteKind: ResourceKind {
    var name = "Note"
    var apiVersions = ["aerie.dev/v1"]
    var aliases: [String] = []
    var schema: FieldSchema { .any }
}

/// A resource service on a database file of its own, and the routes on top.
final class PlatformFixture: Sendable {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("aerie-platform-\(UUID())").path
    let service: ResourceService

    init() throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        let database = try MetadataDatabase(path: folder + "/metadata.db", migrations: SQLiteResourceStore.migrations)
        service = ResourceService(
            store: SQLiteResourceStore(database: database), kinds: KindRegistry([GadgetKind(), NoteKind()]))
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    static func gadget(_ name: String, size: Int = 1) -> String {
        "apiVersion: aerie.dev/v1\nkind: Gadget\nmetadata:\n  name: \(name)\nspec:\n  size: \(size)\n"
    }

    func application(readiness: [ReadinessCheck] = []) -> some ApplicationProtocol {
        let router = Router()
        router.add(middleware: JSONErrorMiddleware())
        PlatformRoutes(resources: service, readiness: readiness, metrics: { "# TYPE up gauge\nup 1\n" })
            .addRoutes(to: router)
        return Application(router: router)
    }
}

extension TestClientProtocol {
    func send(_ method: HTTPRequest.Method, _ path: String, _ body: String? = nil) async throws -> (Int, JSONValue) {
        try await execute(
            uri: path, method: method, headers: [HTTPField.Name("x-aerie-user")!: "ann"],
            body: body.map { ByteBuffer(string: $0) }
        ) { response in
            (response.status.code, (try? JSONValue.parse(Array(response.body.readableBytesView))) ?? .null)
        }
    }
}
