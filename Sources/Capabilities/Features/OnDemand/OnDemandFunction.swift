public import AerieCore
import AerieJSON

/// A Python function that gives a view's features, as Feast's SDK declares it, or a plan that stands for one.
public struct OnDemandFunction: Sendable, Hashable {
    /// What the function takes and gives.
    public enum Mode: String, Sendable, CaseIterable {
        /// A `pandas.DataFrame`.
        case pandas
        /// A dictionary of lists.
        case python
        /// A table, by a plan of Substrait, which Feast compiles a function over ibis to.
        case substrait
    }

    public var mode: Mode
    /// Called with the values of one row, not with columns of many.
    public var isSingleton = false
    /// The function's own name, by which it is found in its source; empty for the first in it.
    public var name = ""
    public var source = ""
    /// The function as Python's `dill` writes it; it goes before the source.
    public var pickle: [UInt8] = []
    /// In mode `substrait`, instead of both: the plan, as protobuf.
    public var plan: [UInt8] = []

    public init(
        mode: Mode, isSingleton: Bool = false, name: String = "", source: String = "", pickle: [UInt8] = [],
        plan: [UInt8] = []
    ) {
        self.mode = mode
        self.isSingleton = isSingleton
        self.name = name
        self.source = source
        self.pickle = pickle
        self.plan = plan
    }

    /// Reads `spec.onDemand.function`, which is the source, or an object of `name`, `source`, `pickle` and `plan`
    /// (these two in base64).
    /// - Returns: `nil` if there is none, or `mode` is no mode of a function.
    static func read(_ object: JSONObject, wrong: (_ field: String, _ problem: String) -> Void) -> OnDemandFunction? {
        let word = object["mode"]?.string?.lowercased() ?? "sql"
        if word == "sql" {
            if object["function"] != nil { wrong("onDemand.mode", "is pandas, python or substrait for a view with a function") }
            return nil
        }
        guard let mode = Mode(rawValue: word) else {
            wrong("onDemand.mode", "'\(word)' is none of sql, pandas, python, substrait")
            return nil
        }
        var function = OnDemandFunction(mode: mode, isSingleton: object["singleton"]?.bool ?? false)
        let given = object["function"]
        function.source = given?.string ?? given?["source"]?.string ?? ""
        function.name = given?["name"]?.string ?? ""
        func bytes(_ member: String) -> [UInt8] {
            guard let text = given?[member]?.string else { return [] }
            let bytes = Base64.standard.decode(text)
            if bytes == nil { wrong("onDemand.function.\(member)", "is no base64") }
            return bytes ?? []
        }
        (function.pickle, function.plan) = (bytes("pickle"), bytes("plan"))
        if mode == .substrait {
            if function.plan.isEmpty { wrong("onDemand.function.plan", "is required in mode substrait, in base64") }
        } else if function.source.isEmpty, function.pickle.isEmpty {
            wrong("onDemand.function", "is required in mode \(word): the source of a Python function, or its pickle")
        }
        if function.isSingleton, mode != .python {
            wrong("onDemand.singleton", "goes with mode python; the others take all rows")
        }
        return function
    }
}

/// One function, and what goes into it and comes out of it.
public struct FunctionCall: Sendable, Hashable {
    public struct Column: Sendable, Hashable {
        /// Under each of these the function finds it.
        public var names: [String]
        /// `nil` for a key whose entity names no type.
        public var type: FeatureType?

        public init(names: [String], type: FeatureType?) {
            self.names = names
            self.type = type
        }
    }

    public struct Feature: Sendable, Hashable {
        public var name: String
        public var type: FeatureType

        public init(name: String, type: FeatureType) {
            self.name = name
            self.type = type
        }
    }

    /// For errors.
    public var view: String
    public var function: OnDemandFunction
    public var columns: [Column]
    /// Those of the view that are wanted.
    public var features: [Feature]

    public init(view: String, function: OnDemandFunction, columns: [Column], features: [Feature]) {
        self.view = view
        self.function = function
        self.columns = columns
        self.features = features
    }
}

/// Runs functions of views on demand, outside of this process.
///
/// Contract: any number of calls at once; each either has all its rows or throws. Every error names the view. What
/// becomes of the function's process, a call ends within the runner's time limit. NaN in a result is null.
/// - Throws: `failedPrecondition` for a function that raises, or gives what is not declared; `deadlineExceeded`;
///   `resourceExhausted` if too many wait; `unavailable` if its process has died, or Python or a package is missing.
public protocol FunctionRunner: Sendable {
    /// - Parameter values: by the call's columns, each of `rows` values.
    /// - Returns: by the call's features, each of `rows` values.
    func run(_ call: FunctionCall, _ values: [[FeatureValue]], rows: Int) async throws(AerieError) -> [[FeatureValue]]

    /// Over a table of any size, in batches. Cancelling the task ends it.
    /// - Parameters:
    ///   - table: a Parquet file with a row's number as `row` and the call's columns as `c0`, `c1`, …; moments are
    ///     seconds since 1970.
    ///   - result: where a Parquet file with `row` and the call's features as `f0`, `f1`, … is written.
    func run(_ call: FunctionCall, table: String, to result: String) async throws(AerieError)
}

extension FunctionCall {
    /// - Throws: `failedPrecondition`, naming the setting, where no Python is configured.
    func runner(of store: FeatureStore) throws(AerieError) -> any FunctionRunner {
        if let runner = store.functions { return runner }
        throw AerieError(
            .failedPrecondition,
            "the features of '\(view)' are computed in Python, and no Python is configured: start the server with "
                + "--feature-python PATH (or AERIE_FEATURE_PYTHON, or feature-python in its file)",
            reason: "definition.notCarriedOut")
    }
}
