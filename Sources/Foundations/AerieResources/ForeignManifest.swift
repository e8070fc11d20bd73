public import AerieCore
public import AerieJSON

/// A shape of text that people have already, and what it means as objects of the known kinds. Pure.
public protocol ForeignManifest: Sendable {
    /// - Returns: `nil` if the document is not of this shape.
    func translate(_ document: JSONValue) -> ForeignObjects?
}

/// What a foreign document means.
public struct ForeignObjects: Sendable {
    public struct Object: Sendable {
        /// With `apiVersion`, `kind`, `metadata` and `spec`.
        public var value: JSONValue
        /// Where in the document it comes from, such as `feature_views[0]`.
        public var path: String

        public init(value: JSONValue, path: String) {
            self.value = value
            self.path = path
        }
    }

    public var objects: [Object]
    /// With paths in the document.
    public var problems: [AerieError.Detail]
    public var warnings: [String]

    public init(objects: [Object] = [], problems: [AerieError.Detail] = [], warnings: [String] = []) {
        self.objects = objects
        self.problems = problems
        self.warnings = warnings
    }
}
