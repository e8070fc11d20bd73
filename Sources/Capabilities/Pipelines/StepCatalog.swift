/// The kinds of steps that pipelines may name, by `uses:`.
public struct StepCatalog: Sendable {
    private let steps: [String: any Step]

    /// - Parameter steps: of two with the same name the later one counts.
    public init(_ steps: [any Step]) {
        self.steps = Dictionary(steps.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
    }

    public subscript(name: String) -> (any Step)? { steps[name] }
    /// In alphabetical order.
    public var names: [String] { steps.keys.sorted() }
}
