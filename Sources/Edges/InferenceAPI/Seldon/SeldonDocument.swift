/// What `GET /api/v1.0/doc/` tells: the paths of Seldon's protocol, as OpenAPI.
enum SeldonDocument {
    static let text: String = {
        func operation(_ verb: String, _ summary: String) -> String {
            "{\"\(verb)\":{\"summary\":\"\(summary)\",\"responses\":{\"200\":{\"description\":\"A SeldonMessage\"}}}}"
        }
        let paths = [
            ("predictions", operation("post", "Asks the graph; answers in the form of the request")),
            ("feedback", operation("post", "Rewards an answer, by its meta or its puid")),
            ("metadata", operation("get", "The graph's models, inputs and outputs")),
            ("metadata/{model}", operation("get", "One model of the graph")),
            ("status", operation("get", "Whether the graph answers")),
        ]
        let body = ["/api/v1.0/", "/api/v0.1/"].flatMap { version in
            paths.map { "\"\(version)\($0.0)\":\($0.1)" }
        }
        return "{\"openapi\":\"3.0.0\",\"info\":{\"title\":\"Seldon's external API\",\"version\":\"1.0\"},\"paths\":{"
            + body.joined(separator: ",") + "}}"
    }()
}
