import AerieCore
import AerieJSON
import Experiments
import Hummingbird

/// `mlflow-artifacts/mpu` and `mlflow-artifacts/presigned`: files that go between the client and an object store, and
/// not through this server. The address names the folder, the body the file, as the client has it on its own disk.
extension MLflowRoutes {
    /// Seconds that the URLs are good for: MLflow's own, for fetching and for bringing.
    private static let downloadSeconds = 300
    private static let uploadSeconds = 3600

    func registerDirectArtifacts<Context: RequestContext>(on router: Router<Context>, prefix: String) {
        let root = "\(prefix)/mlflow-artifacts"
        for (verb, answer) in [("create", create), ("complete", complete), ("abort", abort)] as [(String, DirectCall)] {
            for below in ["", "/**"] {
                router.post(RouterPath("\(root)/mpu/\(verb)\(below)")) { request, context in
                    await guarded(request) {
                        let store = try direct()
                        let call = try await Call(request, parameters: context.parameters, actor: actor)
                        let folder = try Self.place(request, behind: "\(root)/mpu/\(verb)")
                        let name = try call.fields.required("path").split(separator: "/").last ?? ""
                        guard let file = folder.child(String(name)) else {
                            throw AerieError.invalid("path", "Invalid path: it names no file")
                        }
                        return Self.response(.ok, try await answer(store, file, call.fields))
                    }
                }
            }
        }
        router.get(RouterPath("\(root)/presigned/**")) { request, _ in
            await guarded(request) {
                let store = try direct()
                let file = try Self.place(request, behind: "\(root)/presigned")
                let found = try await store.downloadURL(file, seconds: Self.downloadSeconds)
                return Self.response(
                    .ok, ["url": .string(found.url), "headers": [:], "file_size": .int(found.size)])
            }
        }
    }

    private typealias DirectCall =
        @Sendable (any DirectArtifactStore, ArtifactPath, Fields) async throws(AerieError) -> JSONObject

    private func direct() throws(AerieError) -> any DirectArtifactStore {
        if let store = artifacts as? any DirectArtifactStore { return store }
        // Clients know the first words, and send the file in one piece then.
        throw AerieError(
            .unsupported,
            "Multipart upload is not supported for the current artifact repository: files go up and down in one piece, "
                + "through this server")
    }

    private static func place(_ request: Request, behind root: String) throws(AerieError) -> ArtifactPath {
        guard let text = PercentEncoding.decode(request.uri.path.dropFirst(root.count).drop { $0 == "/" }) else {
            throw .invalid("path", "Invalid path: it is not percent-encoded UTF-8")
        }
        return try ArtifactPath(text)
    }

    private var create: DirectCall {
        { store, file, fields throws(AerieError) in
            let count = Int(try fields.int("num_parts") ?? 1)
            let (id, urls) = try await store.beginParts(file, count: count, seconds: Self.uploadSeconds)
            let parts = urls.enumerated().map { place, url -> JSONValue in
                ["url": .string(url), "part_number": .int(Int64(place + 1)), "headers": [:]]
            }
            return ["upload_id": .string(id), "credentials": .array(parts)]
        }
    }

    private var complete: DirectCall {
        { store, file, fields throws(AerieError) in
            var parts: [(number: Int, tag: String)] = []
            for part in try fields.objects("parts") {
                guard let number = try part.int("part_number") else { throw part.missing("part_number") }
                parts.append((Int(clamping: number), try part.required("etag")))
            }
            parts.sort { $0.number < $1.number }
            try await store.completeParts(file, id: try fields.required("upload_id"), parts: parts)
            return [:]
        }
    }

    private var abort: DirectCall {
        { store, file, fields throws(AerieError) in
            try await store.abortParts(file, id: try fields.required("upload_id"))
            return [:]
        }
    }
}
