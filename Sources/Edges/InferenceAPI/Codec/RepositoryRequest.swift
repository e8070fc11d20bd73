import AerieCore
import AerieJSON
import Serving

/// What a load request says beyond the model's name: how to serve it, and its files.
struct RepositoryRequest {
    var policy: ServingPolicy?
    var files: [String: [UInt8]] = [:]

    init() {}

    /// Reads `{"parameters": {"config": "…", "file:1/model.onnx": "<Base64>"}}`; an empty body says nothing.
    init(json body: UnsafeRawBufferPointer) throws(AerieError) {
        guard !body.isEmpty else { return }
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(body)) } catch {
            throw error.asAerieError(in: "request body")
        }
        guard let object = value.object else { throw .invalid("", "an object was expected") }
        for member in object["parameters"]?.object?.members ?? [] {
            if member.key == "config" {
                guard let text = member.value.string else {
                    throw .invalid("parameters.config", "the configuration's JSON as a text was expected")
                }
                try take(config: text)
            } else if member.key.hasPrefix("file:") {
                guard let text = member.value.string, let content = Base64.decode(text) else {
                    throw .invalid("parameters.\(member.key)", "the file's content in Base64 was expected")
                }
                try take(file: member.key, content)
            } else {
                throw .invalid("parameters.\(member.key)", "no such parameter; config and file:VERSION/NAME are known")
            }
        }
        try check()
    }

    mutating func take(config text: String) throws(AerieError) {
        let config: JSONValue
        do throws(JSONError) { config = try JSONValue.parse(text) } catch {
            throw error.asAerieError(in: "parameters.config")
        }
        policy = try ServingPolicy(modelConfig: config)
    }

    mutating func take(file name: String, _ content: [UInt8]) throws(AerieError) {
        files[String(name.dropFirst("file:".count))] = content
    }

    /// Triton's own rule: who brings files brings the configuration.
    func check() throws(AerieError) {
        if !files.isEmpty, policy == nil {
            throw .invalid("parameters.config", "missing: files come with the model's configuration")
        }
    }
}
