import AerieCore
import AerieJSON
import Foundation
import Glibc
import Pipelines

/// The files by which the server and a step's process speak: `<work folder>.job/spec.json` and `result.json` beside it.
///
/// A spec is the job's JSON with `result` (where the result goes) added; a result is `{"ok": true, "result": {…}}` or
/// `{"ok": false, "error": {"code", "message", "details": [{"field", "problem"}]}}`. A result is there wholly or not.
struct StepSpec {
    var job: StepJob
    var path: String
    var resultPath: String

    static func write(_ job: StepJob) throws(AerieError) -> StepSpec {
        let folder = job.workDirectory + ".job"
        let spec = StepSpec(job: job, path: folder + "/spec.json", resultPath: folder + "/result.json")
        try? FileManager.default.removeItem(atPath: folder)
        do { try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true) } catch {
            throw AerieError(.unavailable, "cannot make the step's folder \(folder): \(error)", cause: error)
        }
        var object = job.json()
        object["result"] = .string(spec.resultPath)
        try writeWhole(JSONValue.object(object).text(indent: 2), to: spec.path)
        return spec
    }

    static func read(_ path: String) throws(AerieError) -> StepSpec {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else {
            throw .invalid("--spec", "cannot read \(path)")
        }
        do throws(JSONError) {
            guard let object = try JSONValue.parse(text).object else {
                throw JSONError(offset: 0, problem: "an object was expected")
            }
            let result = object["result"]?.string ?? path + ".result"
            do throws(AerieError) {
                return StepSpec(job: try StepJob(json: object), path: path, resultPath: result)
            } catch { throw JSONError(offset: 0, problem: error.message) }
        } catch { throw error.asAerieError(in: path) }
    }

    func writeResult(_ outcome: Result<StepResult, AerieError>) throws(AerieError) {
        let object: JSONObject
        switch outcome {
        case .success(let result): object = ["ok": true, "result": .object(result.json())]
        case .failure(let error):
            let details = error.details.map { JSONValue.object(["field": .string($0.field), "problem": .string($0.problem)]) }
            object = ["ok": false, "error": [
                "code": .string(error.code.description), "message": .string(error.message), "details": .array(details),
            ]]
        }
        try Self.writeWhole(JSONValue.object(object).text(), to: resultPath)
    }

    /// `nil` if the process left none.
    static func readResult(_ path: String) throws(AerieError) -> Result<StepResult, AerieError>? {
        guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { return nil }
        guard let value = try? JSONValue.parse(text), let isGood = value["ok"]?.bool else {
            throw AerieError(.internal, "the step's process left a result that is not one: \(text.prefix(200))")
        }
        if isGood { return .success(StepResult(json: value["result"]?.object ?? [:])) }
        let error = value["error"]
        return .failure(AerieError(
            code(error?["code"]?.string), error?["message"]?.string ?? "the step failed without saying why",
            details: (error?["details"]?.array ?? []).map {
                .init(field: $0["field"]?.string ?? "", problem: $0["problem"]?.string ?? "")
            }))
    }

    private static func code(_ word: String?) -> AerieError.Code {
        let all: [AerieError.Code] = [
            .invalidArgument, .notFound, .alreadyExists, .failedPrecondition, .conflict, .permissionDenied,
            .unauthenticated, .resourceExhausted, .deadlineExceeded, .unavailable, .unsupported, .dataLoss, .cancelled,
        ]
        return all.first { $0.description == word } ?? .internal
    }

    /// Under another name first, synced, then renamed.
    private static func writeWhole(_ text: String, to path: String) throws(AerieError) {
        let temporary = path + ".tmp"
        let file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard file >= 0 else { throw failure("write", path) }
        defer { close(file) }
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw failure("write", path) }
            rest = rest.dropFirst(count)
        }
        guard fsync(file) == 0, rename(temporary, path) == 0 else { throw failure("write", path) }
    }

    private static func failure(_ verb: String, _ path: String) -> AerieError {
        AerieError(.unavailable, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
