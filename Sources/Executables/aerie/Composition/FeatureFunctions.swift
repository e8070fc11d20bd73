import AerieCore
import Foundation
import Logging
import RunSubprocess

/// The Python that runs functions of feature views, if one is configured.
enum FeatureFunctions {
    /// - Throws: `invalidArgument` if there is no such interpreter.
    static func make(_ configuration: Configuration, logger: Logger) throws(AerieError) -> PythonFunctions? {
        guard let asked = configuration.featurePython else { return nil }
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let candidates = asked.contains("/") ? [absolute(asked)] : path.split(separator: ":").map { "\($0)/\(asked)" }
        guard let found = candidates.first(where: { FileManager.default.isExecutableFile(atPath: $0) }) else {
            throw .invalid("--feature-python", "there is no interpreter \(asked.visible)")
        }
        return PythonFunctions(
            python: found, limit: .milliseconds(configuration.featurePythonLimit), logger: logger)
    }

    private static func absolute(_ path: String) -> String {
        path.hasPrefix("/") ? path : FileManager.default.currentDirectoryPath + "/" + path
    }
}
