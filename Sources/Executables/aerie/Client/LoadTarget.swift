import AerieCore
import AerieData
import AerieJSON
import AsyncHTTPClient
import Foundation
import Load

/// A server to be loaded, by URL: `http://host:port[/path]`, or `grpc://host:port`.
struct LoadTarget {
    let host: String
    let port: Int
    let isGRPC: Bool
    /// HTTP's path, where the URL has one.
    let path: String?
    let text: String

    /// - Throws: `invalidArgument` for what is no such URL, and for a host beyond this machine unless that is allowed.
    init(_ text: String, allowsRemote: Bool) throws(AerieError) {
        guard let url = URL(string: text), let scheme = url.scheme, ["http", "grpc"].contains(scheme),
            let host = url.host, !host.isEmpty
        else { throw .invalid("target", "\"\(text)\" is no address; write http://host:port or grpc://host:port") }
        guard allowsRemote || ["localhost", "::1", "[::1]"].contains(host) || host.hasPrefix("127.") else {
            throw .invalid("target", "\(host) is not this machine; --allow-remote says that it may be loaded")
        }
        self.text = text
        self.host = host
        isGRPC = scheme == "grpc"
        port = url.port ?? (isGRPC ? 8001 : 80)
        path = isGRPC || url.path.isEmpty || url.path == "/" ? nil : url.path + (url.query.map { "?\($0)" } ?? "")
    }

    var authority: String { "\(host):\(port)" }
}

/// What a model takes, asked of a server that speaks the Open Inference Protocol.
enum ModelInputs {
    /// - Parameter server: `http://host:port`.
    static func read(_ model: String, from server: String) async throws(AerieError) -> [TensorSpec] {
        let client = try PlatformClient(server: server)
        let path = "/v2/models/\(PlatformClient.escape(model))"
        let metadata: JSONValue
        do { metadata = try await client.get(path) } catch {
            throw AerieError(
                error.code, "\(server)\(path): \(error.message); --input NAME:TYPE:SIZE or --body FILE does without it")
        }
        let inputs = (metadata["inputs"]?.array ?? []).compactMap { input -> TensorSpec? in
            guard let name = input["name"]?.string, let type = input["datatype"]?.string.flatMap(DataType.init) else {
                return nil
            }
            let shape = (input["shape"]?.array ?? []).compactMap { $0.int.map { Int($0) } }
            // The first dimension is the rows'.
            return TensorSpec(name: name, dataType: type, shape: Array(shape.dropFirst()))
        }
        guard !inputs.isEmpty else { throw .invalid("model", "\(server)\(path) tells no inputs") }
        return inputs
    }

    /// `NAME:TYPE:SIZE`, such as `input:FP32:15`.
    static func parse(_ text: String) throws(AerieError) -> TensorSpec {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, let type = DataType(rawValue: String(parts[1])),
            let size = Int(parts[2]), size > 0, size <= 1_000_000
        else { throw .invalid("--input", "\"\(text)\" is not NAME:TYPE:SIZE, such as input:FP32:15") }
        return TensorSpec(name: String(parts[0]), dataType: type, shape: [size])
    }
}

/// Rows of numbers out of a file of comma-separated values.
enum LoadRows {
    /// The columns of the inputs by name where the head has them, else all in their order; flags count 0 and 1.
    /// - Throws: `invalidArgument` naming the line and the column of what is no number.
    static func csv(_ path: String, width: Int, names: [String]) throws(AerieError) -> [[Double]] {
        let file = try CSVFile(path: path, field: "--data", limit: 100_000)
        let named = names.map(file.column)
        let isNamed = !names.isEmpty && named.allSatisfy { $0 != nil }
        let columns = isNamed ? named.compactMap { $0 } : Array(file.head.indices)
        guard columns.count == width else {
            throw .invalid("--data", "\(path) has \(file.head.count) columns; the model takes \(width) numbers a row")
        }
        var rows: [[Double]] = []
        for row in file.rows {
            var numbers: [Double] = []
            for column in columns {
                guard let value = Self.number(row.cells[column]) else {
                    throw .invalid("--data", "\(path): column \(file.head[column]) is no number", line: row.line)
                }
                numbers.append(value)
            }
            rows.append(numbers)
        }
        return rows
    }

    private static func number(_ cell: String) -> Double? {
        switch cell.lowercased() {
        case "": .nan
        case "true": 1
        case "false": 0
        case let text: Double(text)
        }
    }
}
