import AerieCore
import AerieJSON
import Fuzzing

@testable import InferenceAPI

/// Bodies of inference requests over HTTP, through everything up to the answer.
enum InferenceFuzzers {
    static var all: [Fuzzer] {
        [
            body("infer-json", "Open Inference Protocol v2 in JSON", "/v2/models/", "/infer", inferSeeds, inferWords),
            body("seldon-json", "Seldon's messages in JSON", "/seldon/default/", "/api/v1.0/predictions", seldonSeeds, seldonWords),
            body("kserve-v1", "KServe's first protocol", "/v1/models/", ":predict", v1Seeds, ["instances", "inputs", "signature_name"]),
            binary, raw, repository, form, json,
        ]
    }

    private static let row = Array(repeating: "0.5", count: 8).joined(separator: ",")

    private static let inferSeeds: [String] = [
        #"{"id":"a","inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[1,2.5,null]}]}"#,
        #"{"inputs":[{"name":"x","shape":[2,3],"datatype":"FP64","data":[[1,"NaN",3],[4,5,-6e2]]}],"outputs":[{"name":"x"}]}"#,
        #"{"inputs":[{"name":"x","shape":[1,8],"datatype":"FP32","data":[\#(row)]}]}"#,
        #"{"inputs":[{"name":"s","shape":[2],"datatype":"BYTES","data":["a\u00e4","\ud83d\ude00"]}],"parameters":{"priority":1,"timeout":5}}"#,
        #"{"inputs":[{"name":"b","shape":[2],"datatype":"BOOL","data":[true,0]},{"name":"i","shape":[1],"datatype":"INT8","data":[-128]}]}"#,
        #"{"inputs":[{"name":"u","shape":[1],"datatype":"UINT64","data":[18446744073709551615]}],"outputs":[{"name":"x","parameters":{"binary_data":true}}]}"#,
        #"{"parameters":{"binary_data_output":true},"inputs":[{"name":"x","shape":[0,3],"datatype":"FP32","data":[]}]}"#,
    ]
    private static let inferWords = [
        "inputs", "outputs", "name", "shape", "datatype", "data", "parameters", "id", "binary_data", "binary_data_size",
        "binary_data_output", "priority", "timeout", "classification", "shared_memory_region", "FP16", "BF16", "FP32",
        "FP64", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT64", "BOOL", "BYTES", "NaN", "null", "x", "predict",
        "\\u0000", "\\ud800", "[", "]", "{", "}", ",", ":", "\"",
    ]
    private static let seldonSeeds: [String] = [
        #"{"data":{"ndarray":[[1,2,3],[4,5,6]]},"meta":{"puid":"p","tags":{"a":1},"routing":{"r":-1}}}"#,
        #"{"data":{"names":["a","b","c"],"tensor":{"shape":[1,3],"values":[1,2,3]}}}"#,
        #"{"data":{"ndarray":[[\#(row)]]}}"#,
        #"{"data":{"tftensor":{"dtype":"DT_DOUBLE","tensorShape":{"dim":[{"size":"1"},{"size":"3"}]},"doubleVal":[1,2,3]}}}"#,
        #"{"data":{"tftensor":{"dtype":"DT_FLOAT","tensorShape":{"dim":[{"size":3}]},"tensorContent":"AACAPwAAAEAAAEBA"}}}"#,
        #"{"binData":"AAEC"}"#, #"{"strData":"text"}"#, #"{"jsonData":{"a":[1,{"b":null}]}}"#,
        #"{"customData":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"x":1}}}"#,
    ]
    private static let seldonWords = [
        "data", "ndarray", "tensor", "tftensor", "names", "shape", "values", "meta", "puid", "routing", "tags", "binData",
        "strData", "jsonData", "customData", "dtype", "DT_INT64", "DT_STRING", "DT_BOOL", "DT_UINT8", "tensorShape", "dim",
        "size", "tensorContent", "stringVal", "int64Val", "boolVal", "@type", "google.protobuf.ListValue",
        "google.protobuf.Value", "tensorflow.TensorProto", "[", "]", "{", "}",
    ]
    private static let v1Seeds: [String] = [
        #"{"instances":[[1,2,3],[4,5,6]]}"#, #"{"instances":[{"x":[1,2,3]}]}"#, #"{"inputs":{"x":[[1,2,3]]}}"#,
        #"{"inputs":{"a":[1,2],"b":[3,4],"c":[5,6]}}"#, #"{"instances":[1,2,3]}"#, #"{"instances":[[\#(row)]]}"#,
    ]

    /// One body, asked of a model of FP32 rows, one of FP64 rows and one of tensors.
    private static func body(
        _ name: String, _ about: String, _ before: String, _ after: String, _ seeds: [String], _ words: [String]
    ) -> Fuzzer {
        Fuzzer(name, about, shape: .json, seeds: seeds.map(bytes), dictionary: words) {
            let plane = try FuzzedPlane()
            return { input in
                try ["fraud", "churn", "echo"]
                    .map { try plane.post("\(before)\($0)\(after)", input).outcome }.joined(separator: " / ")
            }
        }
    }

    /// The first two bytes say how much of the rest is JSON.
    private static var binary: Fuzzer {
        func seed(_ json: String, _ tail: [UInt8]) -> [UInt8] {
            [UInt8(json.utf8.count & 255), UInt8(json.utf8.count >> 8)] + bytes(json) + tail
        }
        let input = #"{"name":"x","shape":[1,3],"datatype":"FP32","parameters":{"binary_data_size":12}}"#
        let texts = #"{"name":"t","shape":[2],"datatype":"BYTES","parameters":{"binary_data_size":10}}"#
        let columns = #"{"name":"x","shape":[1,8],"datatype":"FP32","parameters":{"binary_data_size":32}}"#
        let numbers: [UInt8] = [0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 64, 64]
        return Fuzzer(
            "infer-binary", "the extension of binary tensors", seeds: [
                seed(#"{"inputs":[\#(input)]}"#, numbers),
                seed(#"{"inputs":[\#(texts),\#(input)]}"#, [2, 0, 0, 0, 65, 66, 0, 0, 0, 0] + numbers),
                seed(#"{"inputs":[\#(columns)],"parameters":{"binary_data_output":true}}"#, numbers + numbers + numbers[..<8]),
            ], dictionary: inferWords
        ) {
            let plane = try FuzzedPlane()
            return { input in
                guard input.count >= 2 else { return "short" }
                let length = Int(input[0]) | Int(input[1]) << 8
                let body = UnsafeRawBufferPointer(rebasing: input[2...])
                let headers = "Inference-Header-Content-Length: \(length)\r\n"
                return try ["fraud", "churn", "echo"]
                    .map { try plane.post("/v2/models/\($0)/infer", body, headers: headers).outcome }
                    .joined(separator: " / ")
            }
        }
    }

    private static var raw: Fuzzer {
        Fuzzer("infer-raw", "a body that is one tensor and nothing else", seeds: [Array(repeating: 63, count: 32)]) {
            let plane = try FuzzedPlane()
            return { input in
                let headers = "Inference-Header-Content-Length: 0\r\n"
                return try ["fraud", "churn", "echo"]
                    .map { try plane.post("/v2/models/\($0)/infer", input, headers: headers).outcome }
                    .joined(separator: " / ")
            }
        }
    }

    private static var repository: Fuzzer {
        let config = #"{\"backend\":\"onnxruntime\",\"max_batch_size\":8,\"dynamic_batching\":{\"max_queue_delay_microseconds\":5}}"#
        let seeds = [
            #"{"parameters":{"config":"\#(config)","file:1/model.onnx":"AAEC"}}"#, #"{"parameters":{}}"#,
            #"{"ready":true}"#,
        ]
        return Fuzzer(
            "repository", "Triton's requests to load a model, with its configuration", shape: .json,
            seeds: seeds.map(bytes), dictionary: [
                "parameters", "config", "file:1/m", "dynamic_batching", "max_batch_size", "priority_levels",
                "preferred_batch_size", "default_queue_policy", "priority_queue_policy", "instance_group", "backend",
                "response_cache", "max_queue_size", "platform", "name", "unload_dependents",
            ]
        ) {
            { input in
                do throws(AerieError) {
                    let request = try RepositoryRequest(json: input)
                    return "\(request.files.count) \(request.policy != nil)"
                } catch { return "\(error.code) \(error.message)" }
            }
        }
    }

    /// The first line is the content type, the rest the body.
    private static var form: Fuzzer {
        let part = "--b\r\nContent-Disposition: form-data; name=\"strData\"\r\n\r\ntext\r\n"
        let seeds = [
            "application/x-www-form-urlencoded\njson=%7B%22strData%22%3A%22a+b%22%7D&x=y",
            "multipart/form-data; boundary=b\n\(part)--b--\r\n",
            "multipart/form-data; boundary=\"b\"\n\(part)"
                + "--b\r\nContent-Disposition: form-data; name=\"binData\"; filename=\"f\"\r\n\r\n\0\u{1}\r\n--b--\r\n",
        ]
        return Fuzzer(
            "seldon-form", "Seldon's messages as forms", shape: .lines, seeds: seeds.map(bytes),
            dictionary: ["boundary=", "--b", "--b--", "name=\"", "json", "%", "&", "=", "\r\n\r\n", "jsonData", "binData"]
        ) {
            { input in
                let line = input.firstIndex(of: UInt8(ascii: "\n")) ?? input.count
                let type = String(decoding: input[..<line], as: UTF8.self)
                let body = UnsafeRawBufferPointer(rebasing: input[min(line + 1, input.count)...])
                do throws(AerieError) {
                    guard let form = try SeldonForm(body, contentType: type) else { return "no form" }
                    return "\(try form.message().object?.members.count ?? 0)"
                } catch { return "\(error.code) \(error.message)" }
            }
        }
    }

    /// JSON that was read, written and read again is the same.
    private static var json: Fuzzer {
        Fuzzer(
            "json", "values of any kind, there and back", shape: .json,
            seeds: (inferSeeds + seldonSeeds + v1Seeds).map(bytes), dictionary: inferWords
        ) {
            { input in
                let value: JSONValue
                do throws(JSONError) { value = try JSONValue.parse(Array(input)) } catch {
                    if error.offset > input.count { throw FuzzFinding("an error at \(error.offset) of \(input.count)") }
                    return error.problem
                }
                let text = value.utf8()
                guard let again = try? JSONValue.parse(text), again.utf8() == text else {
                    throw FuzzFinding("\(String(decoding: text.prefix(200), as: UTF8.self)) is read otherwise")
                }
                return "ok"
            }
        }
    }
}
