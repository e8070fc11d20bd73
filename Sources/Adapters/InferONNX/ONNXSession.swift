import AerieCore
import AerieData
import COnnxRuntime
#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// A loaded session of the library and the types of what goes in and out.
///
/// `@unchecked Sendable`: the library's sessions may be run from any thread at once; the handle never changes.
final class ONNXSession: @unchecked Sendable {
    let handle: cort_handle

    init(_ handle: cort_handle) { self.handle = handle }
    deinit { cort_session_release(handle) }

    /// A name that lives as long as the model, for the library, and its type.
    struct Port {
        var name: String
        var type: cort_type
    }

    func ports() throws(AerieError) -> (inputs: [Port], outputs: [Port]) {
        var inputs = 0
        var outputs = 0
        try ONNXFailure.check(cort_session_counts(handle, &inputs, &outputs))
        return (
            try list(inputs) { cort_session_input(handle, $0, $1, $2) },
            try list(outputs) { cort_session_output(handle, $0, $1, $2) }
        )
    }

    private func list(
        _ count: Int,
        _ read: (
            Int, UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, UnsafeMutablePointer<cort_type>
        ) -> cort_status
    ) throws(AerieError) -> [Port] {
        var ports: [Port] = []
        for index in 0..<count {
            var name: UnsafeMutablePointer<CChar>?
            var type = cort_type()
            let status = read(index, &name, &type)
            defer { free(name) }
            try ONNXFailure.check(status)
            ports.append(Port(name: name.map { String(cString: $0) } ?? "", type: type))
        }
        return ports
    }
}

/// Names as C strings that live as long as this does. Immutable, so any thread may read them.
final class ONNXNames: @unchecked Sendable {
    let pointers: [UnsafePointer<CChar>?]

    init(_ names: [String]) { pointers = names.map { strdup($0).map { UnsafePointer($0) } } }
    deinit { for pointer in pointers { free(UnsafeMutablePointer(mutating: pointer)) } }
}

extension cort_type {
    /// The dimensions; -1 where the model leaves one open.
    var shape: [Int] {
        withUnsafeBytes(of: dimensions) { bytes in
            let all = bytes.bindMemory(to: Int64.self)
            return (0..<min(Int(rank), all.count)).map { Int(all[$0] < 0 ? -1 : all[$0]) }
        }
    }
}

extension DataType {
    /// The standard's number of the element type.
    var onnxElement: Int32 {
        switch self {
        case .fp32: 1
        case .uint8: 2
        case .int8: 3
        case .uint16: 4
        case .int16: 5
        case .int32: 6
        case .int64: 7
        case .bytes: 8
        case .bool: 9
        case .fp16: 10
        case .fp64: 11
        case .uint32: 12
        case .uint64: 13
        case .bf16: 16
        }
    }

    init?(onnxElement: Int32) {
        guard let type = DataType.allCases.first(where: { $0.onnxElement == onnxElement }) else { return nil }
        self = type
    }
}
