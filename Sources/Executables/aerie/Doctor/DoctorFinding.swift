import AerieCore
import AerieJSON
import Foundation
import InferONNX
import StoreDuckDB
import StoreLMDB
import StorePostgres
import TrainLightGBM

/// One thing that Aerie needs from the machine, and whether it is there.
struct DoctorFinding {
    var name: String
    var version: String?
    var path: String?
    /// Why it cannot be used; `nil` if it can.
    var problem: String?
    /// What needs it, and so cannot be done without it.
    var cost: String
    /// The command that installs it.
    var install: String

    var isPresent: Bool { problem == nil }

    /// Every finding. Opens the libraries, so "present" means that they load here.
    static func all(nativeFolder: String?) -> [DoctorFinding] {
        let libraries = NativeLibrary.allCases.map { library(of: $0, in: nativeFolder) }
        let own = [
            system("LMDB", "liblmdb.so.0", "the online feature store, where it is not Redis") { () throws(AerieError) in
                try LMDBLibrary.version()
            },
            system("libpq", "libpq.so.5", "metadata in PostgreSQL (--metadata postgresql://…)") {
                () throws(AerieError) in
                try PostgresLibrary.version()
            },
        ]
        return libraries + own + [openMP(), python(), sandboxedEnvironments()]
    }

    private static func library(of library: NativeLibrary, in folder: String?) -> DoctorFinding {
        var finding = DoctorFinding(name: library.title, cost: library.cost, install: NativeLibrary.installCommand)
        do throws(AerieError) {
            let path = try NativeLibraries.locate(library, in: folder)
            finding.path = path
            finding.version = recordedVersion(of: library, beside: path)
            switch library {
            case .duckDB: finding.version = try DuckDBEngine.libraryVersion(in: folder)
            case .onnxRuntime: finding.version = try ONNXFormat.libraryVersion(in: folder)
            case .lightGBM: try LightGBMTrainer.load(from: folder)
            case .libpython: finding.version = "3.11"
            }
        } catch {
            finding.problem = error.details.first?.problem ?? error.message
        }
        return finding
    }

    /// A library of the system's, which tells its version once it is open.
    private static func system(
        _ name: String, _ file: String, _ cost: String, _ version: () throws(AerieError) -> String
    ) -> DoctorFinding {
        var finding = DoctorFinding(name: name, path: file, cost: cost, install: NativeLibrary.installCommand)
        do throws(AerieError) { finding.version = try version() } catch {
            finding.path = nil
            finding.problem = error.message
        }
        return finding
    }

    /// The version that the installation wrote down; LightGBM's library does not tell its own.
    private static func recordedVersion(of library: NativeLibrary, beside path: String) -> String? {
        let manifest = URL(fileURLWithPath: path).deletingLastPathComponent().appendingPathComponent("manifest.json")
        guard let data = try? Data(contentsOf: manifest), let value = try? JSONValue.parse(Array(data)) else {
            return nil
        }
        let entry = value["libraries"]?.array?.first { $0["name"]?.string == library.rawValue }
        return entry?["version"]?.string
    }

    private static func openMP() -> DoctorFinding {
        var finding = DoctorFinding(
            name: "OpenMP", cost: "LightGBM, which trains in parallel with it", install: NativeLibrary.installCommand)
        if dlopen("libgomp.so.1", RTLD_LAZY) == nil {
            finding.problem = "libgomp.so.1 is not on this machine"
        } else {
            finding.path = "libgomp.so.1"
        }
        return finding
    }

    private static func python() -> DoctorFinding {
        var finding = DoctorFinding(
            name: "Python", cost: "pipeline steps written in Python (the built-in steps need none)",
            install: NativeLibrary.installCommand)
        guard let path = program("python3") else {
            finding.problem = "there is no python3 in PATH"
            return finding
        }
        finding.path = path
        let answer = output(of: path, ["-c", "import platform; print(platform.python_version())"])
        finding.version = answer
        if answer == nil { finding.problem = "\(path) does not run" }
        return finding
    }

    private static func sandboxedEnvironments() -> DoctorFinding {
        var finding = DoctorFinding(
            name: "Python venv", cost: "environments of their own for Python steps",
            install: NativeLibrary.installCommand)
        guard let path = program("python3"), output(of: path, ["-c", "import ensurepip, venv; print('yes')"]) == "yes"
        else {
            finding.problem = "python3 cannot make environments (venv and ensurepip)"
            return finding
        }
        finding.path = path
        return finding
    }

    private static func program(_ name: String) -> String? {
        let folders = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
        return folders.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The first line that a program prints; `nil` if it fails.
    private static func output(of path: String, _ arguments: [String]) -> String? {
        let process = Process()
        let pipe = Pipe()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.standardOutput = pipe
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").first.map(String.init)
    }
}
