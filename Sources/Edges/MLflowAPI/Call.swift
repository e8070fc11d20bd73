import AerieCore
import AerieJSON
import Experiments
import HTTPTypes
import Hummingbird
import NIOCore

/// The fields of one request, wherever they came: path, query or body. Reading one says what is wrong by its name.
struct Call: Sendable {
    let fields: Fields
    let actor: String

    init(
        _ request: Request, parameters: Parameters,
        actor: @Sendable (HTTPRequest) -> String
    ) async throws(AerieError) {
        try self.init(request.head, body: try await Self.body(of: request), parameters: parameters, actor: actor)
    }

    /// The whole body; empty for a GET, whose body says nothing.
    static func body(of request: Request) async throws(AerieError) -> ByteBuffer {
        guard request.method != .get else { return ByteBuffer() }
        do { return try await request.body.collect(upTo: MLflowRoutes.jsonLimit) } catch {
            throw AerieError(
                .invalidArgument,
                "the request's body is longer than \(MLflowRoutes.jsonLimit) bytes or was cut short", cause: error)
        }
    }

    init(
        _ head: HTTPRequest, body: ByteBuffer, parameters: Parameters, actor: @Sendable (HTTPRequest) -> String
    ) throws(AerieError) {
        var object = body.readableBytes > 0 ? try Self.parse(body) : JSONObject()
        let query = head.path?.split(separator: "?", maxSplits: 1).dropFirst().first
        for (key, value) in try Self.query(query.map(String.init)) {
            // A key that stands several times is a list.
            switch object[key] {
            case nil: object[key] = .string(value)
            case .array(let list): object[key] = .array(list + [.string(value)])
            case let old?: object[key] = .array([old, .string(value)])
            }
        }
        for (key, value) in parameters {
            object[String(key)] = .string(PercentEncoding.decode(value) ?? String(value))
        }
        fields = Fields(object, path: "")
        self.actor = actor(head)
    }

    private static func parse(_ buffer: ByteBuffer) throws(AerieError) -> JSONObject {
        do throws(JSONError) {
            let value = try JSONValue.parse(Array(buffer.readableBytesView), allowsNonFinite: true)
            guard let object = value.object else { throw JSONError(offset: 0, problem: "an object was expected") }
            return object
        } catch { throw error.asAerieError(in: "request body") }
    }

    private static func query(_ text: String?) throws(AerieError) -> [(String, String)] {
        guard let text else { return [] }
        var result: [(String, String)] = []
        for part in text.split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let key = PercentEncoding.decode(pair[0], plusIsSpace: true),
                let value = PercentEncoding.decode(pair.count > 1 ? pair[1] : "", plusIsSpace: true)
            else { throw .invalid("query", "is not percent-encoded UTF-8: \(part)") }
            result.append((key, value))
        }
        return result
    }
}

enum PercentEncoding {
    /// `nil` for a broken escape or bytes that are not UTF-8.
    static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        var out: [UInt8] = []
        var rest = text.utf8.makeIterator()
        while let byte = rest.next() {
            if byte == UInt8(ascii: "%") {
                guard let high = rest.next().flatMap(digit), let low = rest.next().flatMap(digit) else { return nil }
                out.append(high << 4 | low)
            } else {
                out.append(plusIsSpace && byte == UInt8(ascii: "+") ? UInt8(ascii: " ") : byte)
            }
        }
        return String(validating: out, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Typed access to a JSON object. Numbers may be written as text, as protobuf's JSON writes 64-bit ones; `null` is the
/// same as absent.
struct Fields: Sendable {
    private let object: JSONObject
    private let path: String

    init(_ object: JSONObject, path: String) {
        self.object = object
        self.path = path
    }

    private func place(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    private func value(_ key: String) -> JSONValue? {
        guard let value = object[key], !value.isNull else { return nil }
        return value
    }

    private func wrong(_ key: String, _ value: JSONValue, _ wanted: String) -> AerieError {
        .invalid(
            place(key),
            "Invalid value \(String(value.text().prefix(80))) for parameter '\(place(key))' supplied: \(wanted)")
    }

    func has(_ key: String) -> Bool { value(key) != nil }

    /// The members other than these, as they came.
    func others(than known: Set<String>) -> JSONObject {
        JSONObject(object.members.filter { !known.contains($0.key) && !$0.value.isNull }.map { ($0.key, $0.value) })
    }

    func string(_ key: String) throws(AerieError) -> String? {
        guard let value = value(key) else { return nil }
        guard case .string(let text) = value else { throw wrong(key, value, "a string was expected") }
        return text
    }

    /// Text that has to be there and may not be empty.
    func required(_ key: String) throws(AerieError) -> String {
        guard let text = try string(key), !text.isEmpty else { throw missing(key) }
        return text
    }

    func missing(_ key: String) -> AerieError {
        .invalid(place(key), "Missing value for required parameter '\(place(key))'.")
    }

    func int(_ key: String) throws(AerieError) -> Int64? {
        guard let value = value(key) else { return nil }
        if let number = value.int ?? value.string.flatMap(Int64.init) { return number }
        throw wrong(key, value, "a whole number was expected")
    }

    /// A number of things, from 1; `otherwise` where it is absent.
    func limit(_ key: String = "max_results", otherwise: Int) throws(AerieError) -> Int {
        guard let number = try int(key) else { return otherwise }
        return Int(number)
    }

    func double(_ key: String) throws(AerieError) -> Double? {
        guard let value = value(key) else { return nil }
        if let number = value.double { return number }
        switch value.string {
        case "NaN": return .nan
        case "Infinity", "inf": return .infinity
        case "-Infinity", "-inf": return -.infinity
        case let text?: if let number = Double(text) { return number }
        case nil: break
        }
        throw wrong(key, value, "a number was expected")
    }

    func bool(_ key: String) throws(AerieError) -> Bool? {
        guard let value = value(key) else { return nil }
        if let flag = value.bool { return flag }
        switch value.string?.lowercased() {
        case "true", "1": return true
        case "false", "0": return false
        default: throw wrong(key, value, "true or false was expected")
        }
    }

    func strings(_ key: String) throws(AerieError) -> [String] {
        guard let value = value(key) else { return [] }
        guard let list = value.array else { return try string(key).map { [$0] } ?? [] }
        var result: [String] = []
        for element in list {
            guard let text = element.string ?? element.int.map({ String($0) }) else {
                throw wrong(key, element, "a string was expected")
            }
            result.append(text)
        }
        return result
    }

    func objects(_ key: String) throws(AerieError) -> [Fields] {
        guard let value = value(key) else { return [] }
        guard let list = value.array else { throw wrong(key, value, "a list was expected") }
        var result: [Fields] = []
        for (index, element) in list.enumerated() {
            guard let object = element.object else {
                throw wrong(
                    "\(key)[\(index)]", element,
                    "an object was expected")
            }
            result.append(Fields(object, path: place("\(key)[\(index)]")))
        }
        return result
    }

    func fields(_ key: String) throws(AerieError) -> Fields {
        guard let value = value(key) else { throw missing(key) }
        guard let object = value.object else { throw wrong(key, value, "an object was expected") }
        return Fields(object, path: place(key))
    }

    func time(_ key: String) throws(AerieError) -> Timestamp? {
        try int(key).map { Timestamp(milliseconds: $0) }
    }

    /// One of a set of words; numbers count as protobuf's enums do, from `first`.
    func word<Word: RawRepresentable & CaseIterable>(
        _ key: String, _: Word.Type, first: Int = 1
    ) throws(AerieError) -> Word? where Word.RawValue == String {
        guard let value = value(key) else { return nil }
        if let text = value.string, let word = Word(rawValue: text) { return word }
        let all = Array(Word.allCases)
        if let number = value.int, number >= Int64(first),
            number < Int64(first + all.count)
        {
            return all[Int(number) - first]
        }
        throw wrong(key, value, "one of \(all.map(\.rawValue).joined(separator: ", ")) was expected")
    }

    // MARK: What many requests hold

    func runID() throws(AerieError) -> RunID {
        if let id = try string("run_id"), !id.isEmpty { return RunID(id) }
        return RunID(
            try { () throws(AerieError) in
                guard let id = try string("run_uuid"), !id.isEmpty else { throw missing("run_id") }
                return id
            }())
    }

    func tags(_ key: String = "tags") throws(AerieError) -> [Tag] {
        var tags: [Tag] = []
        for tag in try objects(key) {
            tags.append(
                Tag(
                    key: try tag.required("key"),
                    value: try tag.string("value") ?? ""))
        }
        return tags
    }

    func params(_ key: String = "params") throws(AerieError) -> [Param] {
        var params: [Param] = []
        for param in try objects(key) {
            params.append(Param(key: try param.required("key"), value: try param.string("value") ?? ""))
        }
        return params
    }

    func batch() throws(AerieError) -> RunBatch {
        var batch = RunBatch(runID: try runID(), params: try params(), tags: try tags())
        for metric in try objects("metrics") { batch.metrics.append(try metric.metric()) }
        return batch
    }

    func metric() throws(AerieError) -> Metric {
        guard let value = try double("value") else { throw missing("value") }
        guard let timestamp = try time("timestamp") else { throw missing("timestamp") }
        return Metric(
            key: try required("key"), value: value, timestamp: timestamp, step: try int("step") ?? 0,
            modelID: try string("model_id").flatMap { $0.isEmpty ? nil : LoggedModelID($0) },
            datasetName: try string("dataset_name"), datasetDigest: try string("dataset_digest"))
    }

    /// An object whose values are all text.
    func map(_ key: String) throws(AerieError) -> [Tag] {
        guard let value = value(key) else { return [] }
        guard let object = value.object else { throw wrong(key, value, "an object was expected") }
        var result: [Tag] = []
        for member in object.members {
            guard let text = member.value.string else { throw wrong(key, member.value, "a string was expected") }
            result.append(Tag(key: member.key, value: text))
        }
        return result
    }

    func view(_ key: String) throws(AerieError) -> StageView {
        try word(key, ViewWord.self).flatMap { StageView(rawValue: $0.rawValue) } ?? .activeOnly
    }

    private enum ViewWord: String, CaseIterable {
        case active = "ACTIVE_ONLY"
        case deleted = "DELETED_ONLY"
        case all = "ALL"
    }
}
