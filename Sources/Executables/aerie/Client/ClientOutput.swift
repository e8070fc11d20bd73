import AerieCore
import ArgumentParser
import ErrorMapping
import Foundation

/// How client commands speak: results to the standard output, everything else to the standard error.
enum ClientOutput {
    /// Runs a command's work; an `AerieError` becomes lines on the standard error and the exit status of its code.
    /// - Parameter flags: what the command's user calls a field of the server's.
    static func reporting(flags: [String: String] = [:], _ body: () async throws -> Void) async throws {
        do { try await body() } catch var error as AerieError {
            for place in error.details.indices {
                if let flag = flags[error.details[place].field] { error.details[place].field = flag }
            }
            fail(error)
            throw ExitCode(error.code.exitStatus)
        }
    }

    static func fail(_ error: AerieError, file: String? = nil) {
        for line in lines(for: error, file: file) { note(line) }
    }

    static func note(_ line: String) { FileHandle.standardError.write(Data((line + "\n").utf8)) }

    /// One line for each problem of the input, with its place; the message alone if there are none.
    static func lines(for error: AerieError, file: String? = nil) -> [String] {
        let prefix = file.map { "\($0):" } ?? ""
        guard !error.details.isEmpty else { return ["error: " + (prefix.isEmpty ? "" : prefix + " ") + error.message] }
        return error.details.map { detail in
            var place = prefix
            if let line = detail.line { place += prefix.isEmpty ? "line \(line):" : "\(line):" }
            else if let offset = detail.offset { place += "byte \(offset):" }
            let field = detail.field.isEmpty ? "" : "\(detail.field): "
            return "error: \(place)\(place.isEmpty ? "" : " ")\(field)\(detail.problem)"
        }
    }

    /// Columns as wide as their widest cell, three spaces apart.
    static func table(_ titles: [String], _ rows: [[String]]) -> String {
        var widths = titles.map(\.count)
        for row in rows {
            for (index, cell) in row.enumerated() where index < widths.count {
                widths[index] = max(widths[index], cell.count)
            }
        }
        return ([titles] + rows).map { row in
            var line = ""
            for (index, cell) in row.enumerated() {
                line += index + 1 < row.count ? cell + String(
                    repeating: " ", count: widths[index] - cell.count + 3) : cell
            }
            return line + "\n"
        }.joined()
    }

    /// `45s`, `12m`, `3h`, `5d`: how long ago something was.
    static func age(of moment: Timestamp?, now: Timestamp) -> String {
        guard let moment else { return "-" }
        let seconds = max(0, (now.milliseconds - moment.milliseconds) / 1000)
        return switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }
}
