import AerieCore
import AerieJSON
import ArgumentParser
import AsyncHTTPClient
import Foundation
import NIOCore
import NIOHTTP1

/// `aerie features`: what is in the feature store, and what it gives.
struct FeaturesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "features", abstract: "Features: the catalogue, training data, and values online.",
        subcommands: [
            FeatureSearchCommand.self, FeatureHistoricalCommand.self, FeatureMaterializeCommand.self,
            FeatureIncrementalCommand.self, FeatureBackfillCommand.self, FeatureOnlineCommand.self,
            FeaturePushCommand.self, FeatureStreamsCommand.self, FeatureImpactCommand.self,
            FeatureVersionsCommand.self, FeatureDatasetsCommand.self,
        ])
}

/// `aerie features search`.
struct FeatureSearchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "search", abstract: "List the features that fit all words.", aliases: ["list"])

    @Argument(help: "Words in names, descriptions, owners or tags; none lists all.") var words: [String] = []
    @Option(help: "Only features of views with this owner.") var owner: String?
    @Option(help: "Only features with this tag, as key or key=value; may be repeated.") var tag: [String] = []
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions
    @Flag(help: "Print JSON.") var json = false

    func run() async throws {
        try await ClientOutput.reporting {
            var query = [("search", words.joined(separator: " ")), ("namespace", namespace.namespace ?? "default")]
            if let owner { query.append(("owner", owner)) }
            query += tag.map { ("tag", $0) }
            let answer = try await server.client().get("/api/aerie/v1/features", query: query)
            if json {
                print(answer.text(indent: 2))
                return
            }
            let rows = (answer["features"]?.array ?? []).map { row in
                func text(_ name: String) -> String { row[name]?.string ?? "" }
                func list(_ name: String) -> String {
                    row[name]?.array?.compactMap(\.string).joined(separator: ",") ?? ""
                }
                return [
                    "\(text("view")):\(text("feature"))", text("type"), list("entities"),
                    row["materialized_until"]?.string ?? "-", list("services"), text("owner"), text("description"),
                ]
            }
            if rows.isEmpty {
                ClientOutput.note("no features fit")
            } else {
                print(
                    ClientOutput.table(
                        ["FEATURE", "TYPE", "KEYS", "ONLINE UNTIL", "SERVICES", "OWNER", "DESCRIPTION"], rows),
                    terminator: "")
            }
            for problem in answer["problems"]?.array?.compactMap(\.string) ?? [] {
                ClientOutput.note("warning: \(problem)")
            }
        }
    }
}

/// Which features are meant.
struct FeatureSelectionOptions: ParsableArguments {
    @Option(help: "view:feature, several with commas.") var features: String?
    @Option(help: "A feature service instead.") var service: String?
    @Flag(help: "Name the columns view__feature.") var fullFeatureNames = false

    func validate() throws {
        if (features == nil) == (service == nil) {
            throw ValidationError("name either --features or --service")
        }
    }
}

/// `aerie features online get`.
struct FeatureOnlineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "online", abstract: "Values as serving sees them.", subcommands: [Get.self])

    struct Get: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "get", abstract: "Read features of entities from the online store.")

        @Option(name: .customLong("entity"), help: "KEY=VALUE[,VALUE…]; repeat for several keys.")
        var entities: [String]
        @OptionGroup var selection: FeatureSelectionOptions
        @OptionGroup var namespace: NamespaceOptions
        @OptionGroup var server: ServerOptions
        @Flag(help: "Print the server's JSON.") var json = false

        func run() async throws {
            try await ClientOutput.reporting {
                var keys = JSONObject()
                for entity in entities {
                    let parts = entity.split(separator: "=", maxSplits: 1)
                    guard parts.count == 2 else { throw AerieError.invalid("--entity", "'\(entity)' is no KEY=VALUE") }
                    keys[String(parts[0])] = .array(
                        parts[1].split(separator: ",", omittingEmptySubsequences: false).map { text in
                            // Digits that a number would not be written with, as in 007, are a text.
                            Int64(text).flatMap { String($0) == text ? .int($0) : nil } ?? .string(String(text))
                        })
                }
                var body: JSONObject = [
                    "entities": .object(keys), "full_feature_names": .bool(selection.fullFeatureNames),
                    "strict_statuses": true,
                ]
                if let service = selection.service { body["feature_service"] = .string(service) }
                let names = (selection.features ?? "").split(separator: ",").map { JSONValue.string(String($0)) }
                if !names.isEmpty { body["features"] = .array(names) }
                let answer = try await server.client().feast(
                    "get-online-features", namespace: namespace.namespace, body: .object(body))
                if let why = answer["metadata"]?["degraded"]?.string {
                    ClientOutput.note("warning: the online store was not read, so these are defaults: \(why)")
                }
                Swift.print(json ? answer.text(indent: 2) : Self.table(answer))
            }
        }

        private static func table(_ answer: JSONValue) -> String {
            let names = answer["metadata"]?["feature_names"]?.array?.compactMap(\.string) ?? []
            let columns = answer["results"]?.array ?? []
            let count = columns.first?["values"]?.array?.count ?? 0
            let rows = (0..<count).map { row in
                columns.map { column in
                    let value = column["values"]?.array?[row] ?? .null
                    let status = column["statuses"]?.array?[row].string ?? ""
                    let text = value.string ?? value.text()
                    return status == "PRESENT" ? text : "\(text) (\(status))"
                }
            }
            return String(ClientOutput.table(names, rows).dropLast())
        }
    }
}

/// `aerie features push`.
struct FeaturePushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "push", abstract: "Write rows into the online store, or keep them for reading offline.",
        discussion: "The rows are JSON, columns by name: {\"driver_id\": [1], \"event_timestamp\": [\"…\"], …}.")

    @Argument(help: "The push source, or a feature view's name.") var source: String
    @Option(name: .shortAndLong, help: "A file, or - for the standard input.") var file = "-"
    @Option(help: "online, offline or online_and_offline.") var to = "online"
    @OptionGroup var namespace: NamespaceOptions
    @OptionGroup var server: ServerOptions

    func run() async throws {
        try await ClientOutput.reporting {
            guard
                let data = file == "-"
                    ? FileHandle.standardInput.readDataToEndOfFile() : FileManager.default.contents(atPath: file)
            else { throw AerieError.notFound("there is no file \(file)") }
            let frame: JSONValue
            do throws(JSONError) { frame = try JSONValue.parse(Array(data), allowsNonFinite: true) } catch {
                throw error.asAerieError(in: file)
            }
            let answer = try await server.client().feast(
                "push", namespace: namespace.namespace,
                body: ["push_source_name": .string(source), "df": frame, "to": .string(to)])
            for note in answer["warnings"]?.array?.compactMap(\.string) ?? [] { ClientOutput.note("warning: \(note)") }
        }
    }
}

extension PlatformClient {
    /// Calls Feast's API, whose errors are JSON texts.
    func feast(_ path: String, namespace: String?, body: JSONValue) async throws(AerieError) -> JSONValue {
        let place = "/feast/\(PlatformClient.escape(namespace ?? "default"))/\(path)"
        let response = try await execute(
            request(.POST, place, [], (body.text(), "application/json")), deadline: .now() + .minutes(10))
        let bytes: [UInt8]
        do { bytes = Array(try await response.body.collect(upTo: Self.maximumAnswer).readableBytesView) } catch {
            throw unreachable(error)
        }
        let answer = bytes.isEmpty ? .null : (try? JSONValue.parse(bytes, allowsNonFinite: true)) ?? .null
        guard response.status.code >= 400 else { return answer }
        let details = answer["detail"]?.array?.compactMap { detail in
            detail["msg"]?.string.map { "\(detail["loc"]?.array?.last?.string ?? "body"): \($0)" }
        }
        var words = answer.string ?? details?.joined(separator: "; ") ?? "the server answered \(response.status.code)"
        if let inner = try? JSONValue.parse(words), let message = inner["message"]?.string { words = message }
        throw AerieError(
            response.status.code == 404 ? .notFound : response.status.code >= 500 ? .unavailable : .invalidArgument,
            words)
    }
}
