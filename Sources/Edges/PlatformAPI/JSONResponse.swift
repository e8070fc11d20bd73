public import AerieCore
public import AerieJSON
import ErrorMapping
public import HTTPTypes
public import Hummingbird
import NIOCore

extension Response {
    /// A JSON value as the answer, with a newline behind it for people with `curl`.
    public init(json: JSONValue, status: HTTPResponse.Status = .ok) {
        self.init(
            status: status, headers: [.contentType: "application/json"],
            body: ResponseBody(byteBuffer: ByteBuffer(string: json.text() + "\n")))
    }

    /// An error as the platform's API writes it: `{"error": {"code", "message", "reason", "details": [...]}}`.
    public init(error: AerieError, status: HTTPResponse.Status? = nil) {
        let status = status ?? HTTPResponse.Status(code: error.httpStatus)
        self.init(json: error.platformJSON, status: status)
    }
}

extension AerieError {
    /// The error body of the platform's API. The cause stays inside.
    public var platformJSON: JSONValue {
        var body = JSONObject([("code", .string("\(code)")), ("message", .string(message))])
        if let reason { body["reason"] = .string(reason) }
        body["details"] = .array(details.map { detail in
            var object = JSONObject([("field", .string(detail.field)), ("problem", .string(detail.problem))])
            if let line = detail.line { object["line"] = .int(Int64(line)) }
            if let column = detail.column { object["column"] = .int(Int64(column)) }
            if let offset = detail.offset { object["offset"] = .int(Int64(offset)) }
            return .object(object)
        })
        return ["error": .object(body)]
    }
}

