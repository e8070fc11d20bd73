import AerieCore
import AerieJSON
import ArgumentParser

/// `aerie doctor`: what Aerie needs from this machine, what is there, and what each missing piece costs.
struct Doctor: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Report which libraries and programs are present, and what each missing one costs.",
        discussion: "Exits with 0 if everything is there, with 1 if something is missing.")

    enum Format: String, ExpressibleByArgument, CaseIterable { case table, json }

    @Option(name: [.customShort("o"), .customLong("output")], help: "table (for people) or json (for programs).")
    var output: Format = .table

    @Option(help: "Look for the native libraries in this folder only.")
    var nativeDir: String?

    func run() async throws {
        let report = DoctorReport(findings: DoctorFinding.all(nativeFolder: nativeDir))
        switch output {
        case .table: print(report.table)
        case .json: print(report.json.text(indent: 2))
        }
        if !report.isComplete { throw ExitCode(1) }
    }
}

/// All findings, for people and for programs.
struct DoctorReport {
    var findings: [DoctorFinding]

    var isComplete: Bool { findings.allSatisfy(\.isPresent) }

    var json: JSONValue {
        [
            "complete": .bool(isComplete),
            "components": .array(findings.map { finding in
                [
                    "name": .string(finding.name), "present": .bool(finding.isPresent),
                    "version": finding.version.map { .string($0) } ?? .null,
                    "path": finding.path.map { .string($0) } ?? .null,
                    "problem": finding.problem.map { .string($0) } ?? .null,
                    "cost": .string(finding.cost), "install": .string(finding.install),
                ]
            }),
        ]
    }

    var table: String {
        let rows = [["COMPONENT", "STATE", "VERSION", "FROM"]] + findings.map { finding in
            [finding.name, finding.isPresent ? "present" : "MISSING", finding.version ?? "-", finding.path ?? "-"]
        }
        let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        var lines = rows.map { row in
            let cells = zip(row, widths).map { cell, width in cell + String(repeating: " ", count: width - cell.count) }
            var line = cells.joined(separator: "  ")[...]
            while line.last == " " { line.removeLast() }
            return String(line)
        }
        let missing = findings.filter { !$0.isPresent }
        for finding in missing {
            lines += [
                "", "\(finding.name): \(finding.problem ?? "missing")", "  needed for: \(finding.cost)",
                "  to install: \(finding.install)",
            ]
        }
        lines += ["", missing.isEmpty ? "Everything is here." : "\(missing.count) of \(findings.count) missing."]
        return lines.joined(separator: "\n")
    }
}
