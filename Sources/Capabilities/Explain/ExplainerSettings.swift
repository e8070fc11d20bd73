public import AerieCore
public import AerieJSON

/// What a deployment says of its explainer: the method, and its parameters by the names that the `shap`, `lime` and
/// `alibi` libraries give them.
public struct ExplainerSettings: Hashable, Sendable {
    public enum Method: String, Hashable, Sendable, CaseIterable {
        case treeShap = "TreeShap"
        case kernelShap = "KernelShap"
        case lime = "LIME"
    }

    public var method: Method
    /// Where the background rows are: a CSV file with a head. `nil` for TreeShap by the covers.
    public var background: String?
    /// Background rows that are used, from the first.
    public var backgroundRows = 100
    /// Sets of columns for KernelShap, neighbours for LIME; `nil` for the method's own number.
    public var samples: Int?
    public var seed: UInt64 = 0
    public var link = KernelShap.Link.identity
    /// Columns by name whose numbers are categories, for LIME.
    public var categorical: [String] = []
    /// Columns that LIME's line may use.
    public var keptColumns = 10
    public var kernelWidth: Double?

    public init(_ method: Method) { self.method = method }

    /// Kinds of explainers that are known and not carried out here.
    public static let foreignMethods = [
        "AnchorTabular", "AnchorImages", "AnchorText", "Counterfactuals", "Contrastive", "IntegratedGradients", "ALE",
        "SquareAttack",
    ]
    /// The rows that a request may ask about.
    public static let maximumRows = 256

    /// - Parameters:
    ///   - type: as the deployment has it, letter by letter.
    ///   - background: a URI or path that stands beside the parameters (`modelUri`, `storageUri`).
    ///   - path: of the explainer in the input, for errors.
    /// - Throws: `unsupported` for another method, `invalidArgument` naming a parameter that is wrong.
    public init(
        type: String, parameters: JSONValue, background: String? = nil, at path: String
    ) throws(AerieError) {
        guard let method = Method(rawValue: type) else {
            let known = Method.allCases.map(\.rawValue).joined(separator: ", ")
            throw AerieError(
                Self.foreignMethods.contains(type) ? .unsupported : .invalidArgument,
                "\(path).type: \(type) is not carried out here; use one of \(known)",
                details: [.init(field: path + ".type", problem: "\(type) is not carried out; use one of \(known)")])
        }
        self.init(method)
        self.background = background
        guard let members = parameters.object?.members else {
            guard parameters.isNull else { throw .invalid(path, "the explainer's parameters are no JSON object") }
            try check(path)
            return
        }
        for member in members {
            if let problem = set(member.key, member.value) { throw .invalid("\(path).\(member.key)", problem) }
        }
        try check(path)
    }

    private func check(_ path: String) throws(AerieError) {
        if method != .treeShap, background == nil {
            throw .invalid(
                path, "\(method.rawValue) needs background rows: name a CSV file with a head by modelUri, or by the "
                    + "parameter background")
        }
        if isPathDependentAsked, background != nil {
            throw .invalid(path, "tree_path_dependent takes no background rows; leave one of the two out")
        }
    }

    /// Set where the deployment insists on the covers.
    private var isPathDependentAsked = false

    /// What is wrong with a parameter; `nil` if nothing is.
    private mutating func set(_ name: String, _ value: JSONValue) -> String? {
        func whole(_ range: ClosedRange<Int>, _ set: (Int) -> Void) -> String? {
            guard let number = value.int ?? value.string.flatMap({ Int64($0) }), range.contains(Int(clamping: number))
            else { return "is no whole number from \(range.lowerBound) to \(range.upperBound)" }
            set(Int(number))
            return nil
        }
        switch name {
        case "background":
            guard let text = value.string, !text.isEmpty else { return "is no URI or path" }
            background = text
        case "background_rows": return whole(1...10_000) { backgroundRows = $0 }
        case "nsamples", "num_samples":
            if value.string == "auto" { return nil }
            return whole(2...1_000_000) { samples = $0 }
        case "num_features": return whole(1...10_000) { keptColumns = $0 }
        case "seed": return whole(0...Int(Int32.max)) { seed = UInt64($0) }
        case "kernel_width":
            guard let number = value.double ?? value.string.flatMap({ Double($0) }), number > 0 else {
                return "is no number above 0"
            }
            kernelWidth = number
        case "link":
            guard let link = KernelShap.Link(rawValue: value.string ?? "") else { return "is identity or logit" }
            self.link = link
        case "categorical_features":
            guard let names = value.array?.compactMap(\.string), names.count == value.array?.count else {
                return "is no list of names of columns"
            }
            categorical = names
        case "feature_perturbation":
            guard ["tree_path_dependent", "interventional"].contains(value.string ?? "") else {
                return "is tree_path_dependent or interventional"
            }
            isPathDependentAsked = value.string == "tree_path_dependent"
        case "model_output":
            if value.string != "raw" { return "is raw: trees are explained before the link function" }
        default:
            return "is no parameter of an explainer; known are background, background_rows, nsamples, num_samples, "
                + "num_features, seed, kernel_width, link, categorical_features, feature_perturbation, model_output"
        }
        return nil
    }
}
