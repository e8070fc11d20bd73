import AerieHTTP

/// What a path asks for. The names are slices of the path and live as long as it does.
struct HTTPRoute {
    enum Kind {
        case live, ready, server, models, modelMetadata, modelReady, infer, repositoryIndex
        case repositoryLoad, repositoryUnload, statistics, modelConfig, logging, traceSetting, sharedMemory
        case predictions, feedback, explain, explainV1, seldonStatus, seldonMetadata, seldonDocument
        case predictV1, modelsV1, modelV1, modelMetadataV1, liveV1, ping, plainLive, plainReady, metrics, none
    }

    var kind = Kind.none
    /// The name in `/v2/models/{model}`.
    var model: UnsafeRawBufferPointer?
    var version: UnsafeRawBufferPointer?
    /// The names in `/seldon/{namespace}/{deployment}`.
    var namespace: UnsafeRawBufferPointer?
    var deployment: UnsafeRawBufferPointer?
    /// The name in `/seldon/{namespace}/{deployment}-explainer/{predictor}`.
    var predictor: UnsafeRawBufferPointer?

    /// Reads a path whose percent signs have been resolved. No allocation.
    init(_ path: UnsafeRawBufferPointer) {
        var segments = Segments(path: path)
        guard let first = segments.next() else {
            kind = .liveV1
            return
        }
        read(first, &segments)
        if segments.next() != nil { kind = .none }
    }

    var isSeldon: Bool {
        switch kind {
        case .predictions, .feedback, .explain, .seldonStatus, .seldonMetadata, .seldonDocument: true
        default: false
        }
    }
    /// True for what answers to POST; all else answers to GET and HEAD.
    var isPost: Bool {
        switch kind {
        case .infer, .predictions, .feedback, .explain, .explainV1, .predictV1: true
        case .repositoryIndex, .repositoryLoad, .repositoryUnload: true
        default: false
        }
    }
    /// True for what a model's answer is asked for by.
    var isPrediction: Bool { kind == .infer || kind == .predictions || kind == .predictV1 }
    /// True for what only a model in memory can answer.
    var needsModel: Bool {
        switch kind {
        case .infer, .predictions, .predictV1, .explain, .explainV1, .modelMetadata, .modelReady, .modelConfig,
            .seldonMetadata, .modelV1, .modelMetadataV1:
            true
        default: false
        }
    }
    /// True for what answers to both.
    var isAnyMethod: Bool { kind == .logging || kind == .traceSetting || kind == .sharedMemory }
    /// What it answers to, for `Allow` and its like.
    var methods: StaticString {
        if isAnyMethod { return "GET, HEAD, POST, OPTIONS" }
        return isPost ? "POST, OPTIONS" : "GET, HEAD, OPTIONS"
    }
    /// True for what is asked about models, not of them.
    var isRepository: Bool {
        switch kind {
        case .repositoryIndex, .repositoryLoad, .repositoryUnload, .statistics, .modelConfig: true
        default: isAnyMethod
        }
    }

    private mutating func read(_ first: UnsafeRawBufferPointer, _ segments: inout Segments) {
        if equals(first, "v2") { return readV2(&segments) }
        if equals(first, "api") { return readSeldon(&segments) }
        if equals(first, "v1") { return readV1(&segments) }
        if equals(first, "ping") || equals(first, "health") { kind = .ping }
        if equals(first, "seldon") {
            guard deployment == nil, let namespace = segments.next(), let name = segments.next() else { return }
            // Seldon's client leaves the namespace out where it knows none.
            if equals(name, "api") {
                deployment = namespace
                return readSeldon(&segments)
            }
            guard let next = segments.next() else { return }
            self.namespace = namespace
            deployment = name
            if let explained = Self.explained(name), !equals(next, "api"), !equals(next, "v2"), !equals(next, "v1"),
                let after = segments.next()
            {
                (deployment, predictor) = (explained, next)
                return read(after, &segments)
            }
            return read(next, &segments)
        }
        if equals(first, "ready") || equals(first, "readyz") { kind = .plainReady }
        if equals(first, "live") || equals(first, "healthz") { kind = .plainLive }
        if equals(first, "metrics") || equals(first, "prometheus") { kind = .metrics }
    }

    /// The deployment's name in `{deployment}-explainer`.
    private static func explained(_ name: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
        let ending: StaticString = "-explainer"
        guard name.count > ending.utf8CodeUnitCount else { return nil }
        let start = name.count - ending.utf8CodeUnitCount
        guard equals(UnsafeRawBufferPointer(rebasing: name[start...]), ending) else { return nil }
        return UnsafeRawBufferPointer(rebasing: name[..<start])
    }

    private mutating func readV2(_ segments: inout Segments) {
        guard let word = segments.next() else { return kind = .server }
        if equals(word, "health") {
            guard let which = segments.next() else { return }
            if equals(which, "live") { kind = .live }
            if equals(which, "ready") { kind = .ready }
        } else if equals(word, "repository") {
            readRepository(&segments)
        } else if equals(word, "logging") {
            kind = .logging
        } else if equals(word, "trace") {
            if let next = segments.next(), equals(next, "setting") { kind = .traceSetting }
        } else if equals(word, "systemsharedmemory") || equals(word, "cudasharedmemory") {
            while segments.next() != nil {}
            kind = .sharedMemory
        } else if equals(word, "models") {
            guard let name = segments.next() else { return kind = .models }
            if equals(name, "stats"), segments.isAtEnd { return kind = .statistics }
            model = name
            guard var action = segments.next() else { return kind = .modelMetadata }
            if equals(action, "versions") {
                version = segments.next()
                guard version != nil else { return }
                guard let next = segments.next() else { return kind = .modelMetadata }
                action = next
            }
            if equals(action, "infer") { kind = .infer }
            if equals(action, "ready") { kind = .modelReady }
            if equals(action, "stats") { kind = .statistics }
            if equals(action, "config") { kind = .modelConfig }
            if equals(action, "trace"), let next = segments.next(), equals(next, "setting") { kind = .traceSetting }
        }
    }

    /// `/v1/models/{model}:predict` and what is told of models there.
    private mutating func readV1(_ segments: inout Segments) {
        guard let word = segments.next() else { return }
        if equals(word, "models:predict") { return kind = .predictV1 }
        guard equals(word, "models") else { return }
        guard let name = segments.next() else { return kind = .modelsV1 }
        if let colon = name.lastIndex(of: UInt8(ascii: ":")) {
            let verb = UnsafeRawBufferPointer(rebasing: name[(colon + 1)...])
            guard equals(verb, "predict") || equals(verb, "explain") else { return }
            if colon > 0 { model = UnsafeRawBufferPointer(rebasing: name[..<colon]) }
            return kind = equals(verb, "explain") ? .explainV1 : .predictV1
        }
        model = name
        guard let action = segments.next() else { return kind = .modelV1 }
        if equals(action, "metadata") { kind = .modelMetadataV1 }
    }

    /// `index`, or `models/{model}/load` and `unload`.
    private mutating func readRepository(_ segments: inout Segments) {
        guard let what = segments.next() else { return }
        if equals(what, "index") { return kind = .repositoryIndex }
        guard equals(what, "models"), let name = segments.next(), let action = segments.next() else { return }
        model = name
        if equals(action, "load") { kind = .repositoryLoad }
        if equals(action, "unload") { kind = .repositoryUnload }
    }

    private mutating func readSeldon(_ segments: inout Segments) {
        guard let version = segments.next(), equals(version, "v1.0") || equals(version, "v0.1"),
            let word = segments.next()
        else { return }
        if equals(word, "predictions") { kind = .predictions }
        if equals(word, "feedback") { kind = .feedback }
        if equals(word, "explain") { kind = .explain }
        if equals(word, "doc") { kind = .seldonDocument }
        if equals(word, "ping") { kind = .ping }
        if equals(word, "status") {
            kind = .seldonStatus
            model = segments.next()
        }
        if equals(word, "metadata") {
            kind = .seldonMetadata
            model = segments.next()
        }
        if equals(word, "health"), let status = segments.next(), equals(status, "status") { kind = .seldonStatus }
    }

    /// The words between the slashes; empty ones are passed over.
    private struct Segments {
        let path: UnsafeRawBufferPointer
        var at = 0

        var isAtEnd: Bool { path[at...].allSatisfy { $0 == UInt8(ascii: "/") } }

        mutating func next() -> UnsafeRawBufferPointer? {
            while at < path.count, path[at] == UInt8(ascii: "/") { at += 1 }
            guard at < path.count else { return nil }
            let start = at
            while at < path.count, path[at] != UInt8(ascii: "/") { at += 1 }
            return UnsafeRawBufferPointer(rebasing: path[start..<at])
        }
    }
}
