import AerieCore
import AerieJSON
import Features
import Hummingbird
import Streaming

extension FeatureRoutes {
    /// `GET …/streams`: how each stream does; `GET …/streams/{view}/dead-letters?limit=`: what was set aside.
    func addStreams(to api: some RouterMethods<Context>) {
        api.get("streams") { _, _ in
            let statuses = try await streams.statuses()
            return Response(json: [
                "streams": .array(
                    statuses.map {
                        ["namespace": .string($0.namespace), "view": .string($0.view), "stream": $0.json]
                    })
            ])
        }
        api.get("streams/:view/dead-letters") { request, context in
            let text = request.uri.queryParameters["limit"].map { String($0) } ?? "100"
            guard let limit = Int(text), (1...10_000).contains(limit) else {
                throw AerieError.invalid("limit", "'\(text)' is no number from 1 to 10000")
            }
            let letters = try await streams.deadLetters(
                try context.part("view"), namespace: Self.namespace(request), limit: limit)
            return Response(json: ["dead_letters": .array(letters.map(Self.json))])
        }
    }

    private static func json(_ letter: DeadLetter) -> JSONValue {
        [
            "time": .string(FeatureTime.text(letter.time)), "reason": .string(letter.reason),
            "origin": .string(letter.origin),
            "content": String(validating: letter.content, as: UTF8.self).map(JSONValue.string) ?? .null,
            "content_base64": .string(Base64.standard.encode(letter.content)),
        ]
    }
}
