import AerieJSON
import Experiments

/// One span of a trace: one that is kept with it, or one out of its file `traces.json`, in either of the shapes that
/// MLflow's clients write.
struct TraceSpan: Equatable {
    var id: String
    var parent: String?
    var name: String
    /// Nanoseconds since 1970.
    var start: Double
    var end: Double
    var isError: Bool
    var kind: String
    var inputs: String?
    var outputs: String?

    /// More than these are not read, so that the page stays readable.
    static let limit = 1000
    private static let textLimit = 4000

    /// The spans of a file's text; `nil` if it is no such file.
    static func parse(_ bytes: [UInt8]) -> [TraceSpan]? {
        guard let value = try? JSONValue.parse(bytes), let spans = value["spans"]?.array else { return nil }
        return spans.prefix(limit).compactMap(TraceSpan.init)
    }

    init(_ span: Span) {
        id = span.id
        parent = span.parentID
        name = span.name
        start = Double(span.start)
        end = Double(span.end ?? span.start)
        isError = span.state == .error
        kind = span.kind
        inputs = span.attribute("mlflow.spanInputs").map { Self.text(.string($0)) }
        outputs = span.attribute("mlflow.spanOutputs").map { Self.text(.string($0)) }
    }

    private init?(_ value: JSONValue) {
        guard let name = value["name"]?.string,
            let id = value["span_id"]?.string ?? value["context"]?["span_id"]?.string
        else { return nil }
        self.id = id
        self.name = name
        parent = (value["parent_span_id"] ?? value["parent_id"])?.string.flatMap { $0.isEmpty ? nil : $0 }
        start = (value["start_time_unix_nano"] ?? value["start_time"])?.double ?? 0
        end = (value["end_time_unix_nano"] ?? value["end_time"])?.double ?? start
        let state = value["status"]?["code"]?.string ?? value["status_code"]?.string ?? ""
        isError = state.hasSuffix("ERROR")
        let attributes = value["attributes"]
        kind = attributes?["mlflow.spanType"].map(Self.text) ?? ""
        inputs = attributes?["mlflow.spanInputs"].map(Self.text)
        outputs = attributes?["mlflow.spanOutputs"].map(Self.text)
    }

    /// Attributes are JSON within a text of JSON.
    private static func text(_ value: JSONValue) -> String {
        guard let text = value.string else { return String(value.text(indent: 2).prefix(textLimit)) }
        guard let inner = try? JSONValue.parse(text) else { return String(text.prefix(textLimit)) }
        return String((inner.string ?? inner.text(indent: 2)).prefix(textLimit))
    }

    /// Each span after the one that called it, with how deep it is. Spans that call each other in a ring come last.
    static func tree(_ spans: [TraceSpan]) -> [(span: TraceSpan, depth: Int)] {
        let known = Set(spans.map(\.id))
        let children = Dictionary(grouping: spans.filter { $0.parent.map(known.contains) ?? false }) { $0.parent ?? "" }
        var seen: Set<String> = []
        var out: [(span: TraceSpan, depth: Int)] = []
        var open = spans.filter { !($0.parent.map(known.contains) ?? false) }.sorted { $0.start > $1.start }
            .map { (span: $0, depth: 0) }
        while let next = open.popLast() {
            guard seen.insert(next.span.id).inserted else { continue }
            out.append(next)
            for child in (children[next.span.id] ?? []).sorted(by: { $0.start > $1.start }) {
                open.append((child, next.depth + 1))
            }
        }
        return out + spans.filter { !seen.contains($0.id) }.map { ($0, 0) }
    }
}
