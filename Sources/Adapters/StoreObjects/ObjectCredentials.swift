public import AerieCore
import Foundation

/// What is needed to speak to an object store, as the environment and the files in `~/.aws` say it.
public struct ObjectSettings: Sendable {
    public var credentials: ObjectCredentials
    public var region: String
    /// The URL of a server that is not the service's own.
    public var endpoint: String?
    public var isPathStyle: Bool?

    public init(
        credentials: ObjectCredentials, region: String, endpoint: String? = nil, isPathStyle: Bool? = nil
    ) {
        self.credentials = credentials
        self.region = region
        self.endpoint = endpoint
        self.isPathStyle = isPathStyle
    }

    /// - Parameter readFile: the text of a file, `nil` if it is not there.
    /// - Throws: `failedPrecondition`, naming the variables to set, if there are no keys.
    public init(
        for location: ObjectLocation, environment: [String: String],
        readFile: (String) -> String? = { ObjectSettings.text(of: $0) }
    ) throws(AerieError) {
        func variable(_ names: String...) -> String? {
            names.lazy.compactMap { environment[$0] }.first { !$0.isEmpty }
        }
        let home = variable("HOME") ?? NSHomeDirectory()
        let profile = variable("AWS_PROFILE", "AWS_DEFAULT_PROFILE") ?? "default"
        let secrets = readFile(variable("AWS_SHARED_CREDENTIALS_FILE") ?? home + "/.aws/credentials")
        let config = readFile(variable("AWS_CONFIG_FILE") ?? home + "/.aws/config")
        var kept = config.map { Self.section(of: $0, named: [profile, "profile \(profile)"]) } ?? [:]
        kept.merge(secrets.map { Self.section(of: $0, named: [profile]) } ?? [:]) { _, new in new }

        if let access = variable("AWS_ACCESS_KEY_ID"), let secret = variable("AWS_SECRET_ACCESS_KEY") {
            credentials = ObjectCredentials(
                accessKey: access, secretKey: secret, sessionToken: variable("AWS_SESSION_TOKEN"))
        } else if let access = kept["aws_access_key_id"], let secret = kept["aws_secret_access_key"] {
            credentials = ObjectCredentials(
                accessKey: access, secretKey: secret, sessionToken: kept["aws_session_token"])
        } else {
            let what = location.service == .gs ? " to an HMAC key of the bucket's project" : ""
            throw AerieError(
                .failedPrecondition,
                "there are no credentials for \(location): set AWS_ACCESS_KEY_ID and "
                    + "AWS_SECRET_ACCESS_KEY\(what), or keep them in the profile \(profile) of ~/.aws/credentials")
        }
        let usual = location.service == .gs ? "auto" : "us-east-1"
        region = variable("AWS_REGION", "AWS_DEFAULT_REGION") ?? kept["region"] ?? usual
        endpoint = variable("MLFLOW_S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL") ?? kept["endpoint_url"]
        switch variable("MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE") {
        case "path": isPathStyle = true
        case "virtual": isPathStyle = false
        default: isPathStyle = nil
        }
    }

    /// A file of settings on this machine.
    public static func text(of path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The settings below `[name]`, for any of the names; nested ones are passed over.
    static func section(of text: String, named names: [String]) -> [String: String] {
        var values: [String: String] = [:]
        var isInside = false
        for line in text.split(whereSeparator: \.isNewline) {
            let trimmed = line.trimmingCharacters(in: .whitespaces)
            if trimmed.hasPrefix("#") || trimmed.hasPrefix(";") || trimmed.isEmpty { continue }
            if trimmed.hasPrefix("["), trimmed.hasSuffix("]") {
                isInside = names.contains(trimmed.dropFirst().dropLast().trimmingCharacters(in: .whitespaces))
            } else if isInside, line.first?.isWhitespace == false, let equals = trimmed.firstIndex(of: "=") {
                let name = trimmed[..<equals].trimmingCharacters(in: .whitespaces).lowercased()
                values[name] = trimmed[trimmed.index(after: equals)...].trimmingCharacters(in: .whitespaces)
            }
        }
        return values
    }
}
