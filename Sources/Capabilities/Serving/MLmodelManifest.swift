import AerieCore
import AerieJSON
import AerieYAML

/// What an `MLmodel` file says of a model: its flavors, and the names of its columns.
struct MLmodelManifest {
    struct Flavor {
        var name: String
        /// The file within the folder that holds the model.
        var data: String?
        var modelClass: String?
        /// What the model asks to be computed by, as far as it is known here, in its order.
        var providers: [ExecutionProvider] = []
    }

    /// In the order of the file.
    var flavors: [Flavor]
    /// From the signature's columns; empty without one, or where its inputs are tensors.
    var featureNames: [String]

    /// - Throws: `invalidArgument` naming the model and the line.
    init(text: String, of uri: String) throws(AerieError) {
        let documents: [YAMLDocument]
        do {
            documents = try YAMLDocument.parseAll(text)
        } catch {
            throw AerieError(
                .invalidArgument, "\(uri): MLmodel: \(error.message)", details: error.details, cause: error)
        }
        guard let root = documents.first?.value, let flavors = root["flavors"]?.object else {
            throw AerieError(.invalidArgument, "\(uri): MLmodel has no flavors")
        }
        self.flavors = flavors.members.map { member in
            let data = ["data", "model_data", "pickled_model"].lazy.compactMap { member.value[$0]?.string }.first
            let providers = (member.value["providers"]?.array ?? []).compactMap { provider in
                (provider.string ?? provider[0]?.string).flatMap { ExecutionProvider(named: $0) }
            }
            return Flavor(
                name: member.key, data: data, modelClass: member.value["model_class"]?.string, providers: providers)
        }
        featureNames = Self.featureNames(root["signature"]?["inputs"])
    }

    /// The inputs are a JSON text inside the YAML: columns with a name and a type, or one tensor.
    private static func featureNames(_ inputs: JSONValue?) -> [String] {
        let parsed = inputs?.string.flatMap { try? JSONValue.parse($0) } ?? inputs
        guard let columns = parsed?.array, !columns.isEmpty else { return [] }
        let names = columns.compactMap { $0["type"]?.string == "tensor" ? nil : $0["name"]?.string }
        return names.count == columns.count ? names : []
    }
}
