import AerieCore
import AerieJSON
import AerieResources
import AerieYAML

extension Configuration {
    /// A configuration file that has been read.
    struct File: Sendable {
        var name: String
        var text: String
    }

    /// Where a setting was last written, for reporting it.
    private struct Origin {
        var field: String
        var line: Int?
    }

    /// Puts the settings together. Pure.
    /// - Parameters:
    ///   - flags: as they were written on the command line.
    ///   - environment: variables that begin with `AERIE_` and name no setting belong to others, and are left alone.
    /// - Throws: `invalidArgument` with every problem of all three sources, those of the file with their lines.
    static func load(
        flags: [Setting: String], environment: [String: String], file: File?
    ) throws(AerieError) -> Configuration {
        var configuration = Configuration()
        var origins: [Setting: Origin] = [:]
        var problems: [AerieError.Detail] = []
        func take(_ setting: Setting, _ text: String, _ origin: Origin) {
            origins[setting] = origin
            if let problem = configuration.set(setting, text) {
                problems.append(.init(field: origin.field, problem: problem, line: origin.line))
            }
        }
        if let file {
            let (settings, wrong) = read(file)
            problems += wrong
            for entry in settings {
                take(entry.setting, entry.text, Origin(field: entry.setting.rawValue, line: entry.line))
            }
        }
        for setting in Setting.allCases {
            for name in setting.standardVariables.reversed() + [setting.variable] {
                if let text = environment[name], !text.isEmpty || name == setting.variable {
                    take(setting, text, Origin(field: name))
                }
            }
        }
        for setting in Setting.allCases {
            if let text = flags[setting] { take(setting, text, Origin(field: setting.flag)) }
        }
        for (setting, problem) in configuration.conflicts() {
            let origin = origins[setting] ?? Origin(field: setting.rawValue)
            problems.append(.init(field: origin.field, problem: problem, line: origin.line))
        }
        let name = problems.contains { $0.line != nil } ? file?.name : nil
        if let error = AerieError.invalid(name ?? "the configuration is wrong", problems: problems) { throw error }
        return configuration
    }

    /// What is right by itself and wrong together.
    private func conflicts() -> [(Setting, String)] {
        var problems: [(Setting, String)] = []
        for (index, listener) in listeners.enumerated() {
            if !listener.address.isLoopback, !isInsecure {
                problems.append((
                    listener.setting,
                    "\(listener.address) can be reached from other machines, and nobody has to say who they are; "
                        + "listen on 127.0.0.1, or accept that with --insecure"
                ))
            }
            let earlier = listeners[..<index].first { $0.address == listener.address && $0.address.port != 0 }
            if let earlier {
                problems.append(
                    (listener.setting, "\(listener.address) is taken by \(earlier.setting.rawValue) already"))
            }
        }
        if let problem = tracing.conflict() { problems.append((.otlpEndpoint, problem)) }
        if let conflict = embedding.conflict() { problems.append(conflict) }
        return problems
    }

    // MARK: The file

    private typealias Entry = (setting: Setting, text: String, line: Int?)

    private static func read(_ file: File) -> ([Entry], [AerieError.Detail]) {
        let documents: [YAMLDocument]
        do throws(AerieError) { documents = try YAMLDocument.parseAll(file.text) } catch {
            let whole = AerieError.Detail(field: "", problem: error.message)
            return ([], error.details.isEmpty ? [whole] : error.details)
        }
        guard let document = documents.first else { return ([], []) }
        guard documents.count == 1 else {
            return ([], [.init(field: "", problem: "the file holds several documents; one is read",
                               line: documents[1].line(of: ""))])
        }
        guard let object = document.value.object else {
            return ([], [.init(field: "", problem: "settings were expected, such as http: 127.0.0.1:8080",
                               line: document.line(of: ""))])
        }
        var entries: [Entry] = []
        var problems: [AerieError.Detail] = []
        for member in object.members {
            let line = document.line(of: member.key)
            guard let setting = Setting(rawValue: member.key) else {
                let hint = NearestName.hint(member.key, among: Setting.allCases.map(\.rawValue))
                problems.append(.init(field: member.key, problem: "no such setting\(hint)", line: line))
                continue
            }
            switch member.value {
            case .null: continue
            case .string(let text): entries.append((setting, text, line))
            case .int, .double, .bool: entries.append((setting, member.value.text(), line))
            case .array, .object:
                problems.append(.init(field: member.key, problem: "one value was expected, not several", line: line))
            }
        }
        return (entries, problems)
    }
}
