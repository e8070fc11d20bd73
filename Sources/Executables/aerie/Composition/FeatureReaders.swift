import AerieCore
import AerieResources
import Experiments
import Features
import Foundation
import Registry
import Serving

/// Who reads features: deployments by their feature service, and model versions by what their tags say they were
/// learned from.
///
/// `aerie.dev/feature-service` names a service, `aerie.dev/features` features with commas, `aerie.dev/dataset` a saved
/// dataset as `name/version`. A version that is archived is named, and holds nothing.
struct FeatureReaders: FeatureConsumers {
    let resources: any ResourceStore
    let registry: RegistryService
    let datasets: SavedDatasets

    func users(ofService name: String, namespace: String) async throws(AerieError) -> [FeatureUser] {
        let deployments = try await DeploymentFeatures.deployments(
            readingService: name, namespace: namespace, in: resources)
        var users = deployments.map { FeatureUser(kind: $0.kind, name: $0.name) }
        let names = ["\(namespace)/\(name)"] + (namespace == "default" ? [name] : [])
        users += try await models("aerie.dev/feature-service") { names.contains($0) }
        let made = try await datasets.list(namespace: namespace).filter { $0.service == name }
        return users + (try await learned(from: made))
    }

    func users(of features: [FeatureReference], namespace: String) async throws(AerieError) -> [FeatureUser] {
        let wanted = Set(features)
        let users = try await models("aerie.dev/features") { text in
            text.split(separator: ",").contains { part in
                FeatureReference(part.trimmingCharacters(in: .whitespaces)).map(wanted.contains) ?? false
            }
        }
        let made = try await datasets.list(namespace: namespace).filter { dataset in
            dataset.references.contains(where: wanted.contains)
        }
        return users + (try await learned(from: made))
    }

    /// The datasets, which are copies and lose nothing, and the models that were learned from them.
    private func learned(from made: [SavedDataset]) async throws(AerieError) -> [FeatureUser] {
        if made.isEmpty { return [] }
        let titles = Set(made.map(\.title))
        return made.map { FeatureUser(kind: "SavedDataset", name: $0.title, isBound: false) }
            + (try await models("aerie.dev/dataset", where: titles.contains))
    }

    private func models(_ tag: String, where fits: (String) -> Bool) async throws(AerieError) -> [FeatureUser] {
        let page = try await registry.searchVersions(filter: "tags.`\(tag)` LIKE '%'", limit: 200_000)
        return page.elements.compactMap { version in
            guard let value = version.tags.first(where: { $0.key == tag })?.value, fits(value) else { return nil }
            return FeatureUser(
                kind: "ModelVersion", name: "\(version.name)/\(version.version)", isBound: version.stage != .archived)
        }
    }
}
