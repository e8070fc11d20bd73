import AerieCore
import Experiments
import Hummingbird
import Registry
import Serving

/// Registered models, their versions, and the models that runs logged.
extension ConsoleRoutes {
    func registerModels(on router: Router<some RequestContext>) {
        page(router, "/console/models/:name") { _, context throws(AerieError) in
            try await model(try parameter("name", context))
        }
        page(router, "/console/models/:name/:version") { _, context throws(AerieError) in
            try await version(try versionKey(context))
        }
        page(router, "/console/compare/versions") { request, _ throws(AerieError) in
            func values(_ name: String) -> [String] { FormFields.values(request.uri.query, of: name) }
            guard let name = values("model").last else { throw .invalid("model", "is missing in the address") }
            let numbers = (values("version") + values("versions").flatMap { $0.split(separator: ",").map(String.init) })
                .compactMap { Int($0) }
            guard (2...10).contains(numbers.count) else { throw .invalid("version", "name 2 to 10 versions") }
            return try await comparison(of: name, numbers)
        }
        page(router, "/console/experiments/:id/models") { request, context throws(AerieError) in
            let experiment = try await services.experiments.experiment(ExperimentID(try parameter("id", context)))
            let filter = FormFields.values(request.uri.query, of: "q").last ?? ""
            var found = Page<LoggedModel>([])
            var problem: String?
            do throws(AerieError) {
                found = try await services.experiments.searchModels(
                    in: [experiment.id], filter: filter, limit: 100,
                    pageToken: FormFields.values(request.uri.query, of: "page").last)
            } catch {
                guard error.code == .invalidArgument else { throw error }
                problem = error.message
            }
            return LoggedModelPages.list(
                of: experiment, found.elements, filter: filter, next: found.next?.token, problem: problem,
                now: services.clock.now())
        }
    }

    func versionKey(_ context: some RequestContext) throws(AerieError) -> ModelVersionKey {
        guard let number = Int(try parameter("version", context)) else { throw .invalid("version", "must be a number") }
        return ModelVersionKey(try parameter("name", context), number)
    }

    private func model(_ name: String) async throws(AerieError) -> ConsolePage {
        let model = try await services.registry.model(name)
        let versions = try await services.registry.searchVersions(
            filter: "name = '\(name.replacing("'", with: "''"))'", limit: 100
        ).elements
        var items: [(version: ModelVersion, lineage: ModelPages.Lineage)] = []
        for version in versions.sorted(by: { $0.version > $1.version }) {
            items.append((version, try await lineage(of: version)))
        }
        return ModelPages.model(
            model, versions: items, history: try await services.registry.stageHistory(of: name),
            now: services.clock.now())
    }

    private func lineage(of version: ModelVersion) async throws(AerieError) -> ModelPages.Lineage {
        let run: Run? = if let id = version.runID { try await services.experiments.runs([id]).first } else { nil }
        let answering = services.serving.states().filter { state in
            state.predictors.contains { Self.answers($0.modelURI, $0.modelVersion, version) }
        }
        return .init(run: run, deployments: answering.map(\.name))
    }

    /// Whether a deployment's model is this version, by its registration or by what was registered.
    static func answers(_ uri: String, _ number: String, _ version: ModelVersion) -> Bool {
        switch try? ModelURI(uri) {
        case .version(let name, _)?, .stage(let name, _)?, .latest(let name)?, .alias(let name, _)?:
            name == version.name && number == "\(version.version)"
        case .loggedModel(let id)?: id == version.modelID
        case .location(let place)?: place == version.location
        case .run(let run, let path)?: run == version.runID && version.location.hasSuffix("/artifacts/" + path)
        case nil: false
        }
    }

    private func version(_ key: ModelVersionKey) async throws(AerieError) -> ConsolePage {
        let version = try await services.registry.version(key)
        let lineage = try await lineage(of: version)
        let described = await description(at: version.location)
        return VersionPage(
            version: version, lineage: lineage, description: described,
            example: await example(described, at: version.location),
            files: await files(at: version.location, limit: 200), filePath: filePath(of: version, run: lineage.run),
            history: try await services.registry.stageHistory(of: key.name, version: key.version),
            now: services.clock.now()
        ).page()
    }

    private func comparison(of name: String, _ numbers: [Int]) async throws(AerieError) -> ConsolePage {
        var items: [VersionComparison.Item] = []
        var files: [RunPage.FileList] = []
        for number in numbers {
            let version = try await services.registry.version(ModelVersionKey(name, number))
            files.append(await self.files(at: version.location, limit: 200))
            items.append(
                .init(
                    version: version, run: try await lineage(of: version).run,
                    description: await description(at: version.location), files: files[files.count - 1]))
        }
        await addDigests(to: &files, at: items.map(\.version.location))
        for index in items.indices { items[index].files = files[index] }
        return VersionComparison.page(items, name: name)
    }

    /// A model's `MLmodel` file, if it is kept here, no longer than 1 MiB, and can be read.
    private func description(at location: String) async -> ModelDescription? {
        let limit: Int64 = 1 << 20
        guard let place = try? ArtifactPath(location: location + "/MLmodel"),
            let size = try? await services.artifacts.entry(place)?.size, size <= limit,
            let bytes = try? await beginning(of: place, limit: limit)
        else { return nil }
        return try? ModelDescription(String(decoding: bytes, as: UTF8.self))
    }

    /// - Returns: `nil` for a model without an example that is kept here.
    private func example(_ model: ModelDescription?, at location: String) async -> HTML? {
        let limit: Int64 = 64 << 10
        guard let path = model?.examplePath, let below = try? ArtifactPath(path),
            let root = try? ArtifactPath(location: location),
            let size = try? await services.artifacts.entry(root.appending(below))?.size,
            let bytes = try? await beginning(of: root.appending(below), limit: limit)
        else { return nil }
        return ArtifactPreview.of(bytes, path: path, isCut: size > limit)
    }

    /// A version's files are shown as those of the run that made them.
    private func filePath(of version: ModelVersion, run: Run?) -> (String) -> String? {
        guard let run else { return { _ in nil } }
        let root = run.info.artifactURI + "/"
        if version.location.hasPrefix(root) {
            let folder = String(version.location.dropFirst(root.count))
            return { ArtifactPreview.page(run.info.id, folder + "/" + $0) }
        }
        guard let model = version.modelID, run.modelOutputs.contains(where: { $0.modelID == model }) else {
            return { _ in nil }
        }
        return { ArtifactPreview.page(run.info.id, $0, model: model) }
    }
}
