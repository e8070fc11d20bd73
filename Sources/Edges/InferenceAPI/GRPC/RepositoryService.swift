import AerieCore
import AerieGRPC
import ErrorMapping
import NIOCore
import Serving

extension GRPCService {
    /// Triton's part of `inference.GRPCInferenceService`: statistics, configuration, the repository, settings.
    static func repositoryMethods(_ plane: InferencePlane) -> [String: GRPCMethod] {
        var methods: [String: GRPCMethod] = [
            "ModelStatistics": unary(plane) { state, message throws(AerieError) in
                let (name, version) = try modelName(message)
                let deployments = name.isEmpty ? state.plan.deployments : [try find(name, state)]
                let forms = StatisticsForm.of(deployments, version: version, state.statistics.bySlot())
                if !version.isEmpty, forms.isEmpty { throw .notFound("\(name) has no version \(version)") }
                var writer = ProtobufWriter()
                for form in forms { writer.message(1) { form.write(to: &$0) } }
                return writer.buffer
            },
            "ModelConfig": aboutModel(plane) { state, message throws(AerieError) in
                let (name, version) = try modelName(message)
                let deployment = try find(name, state)
                let predictor = deployment.predictors.first { version.isEmpty || $0.served.modelVersion == version }
                guard let predictor else { throw .notFound("\(name) has no version \(version)") }
                var writer = ProtobufWriter()
                writer.message(1) { ModelConfigForm(deployment, predictor).write(to: &$0) }
                return writer.buffer
            },
            "RepositoryIndex": unary(plane) { state, message throws(AerieError) in
                let onlyReady = try RepositoryMessage(message).onlyReady
                var writer = ProtobufWriter()
                for line in RepositoryIndex(state).lines(onlyReady: onlyReady) {
                    writer.message(1) {
                        $0.text(1, line.name.utf8)
                        $0.text(2, line.version.utf8)
                        $0.text(3, line.state.utf8)
                        $0.text(4, line.reason.utf8)
                    }
                }
                return writer.buffer
            },
            "RepositoryModelLoad": change(plane) { repository, message throws(AerieError) in
                try message.asked.check()
                try await repository.load(message.model, policy: message.asked.policy, files: message.asked.files)
            },
            "RepositoryModelUnload": change(plane) { repository, message throws(AerieError) in
                try await repository.unload(message.model)
            },
            "LogSettings": unary(plane) { state, message throws(AerieError) in
                if message.readableBytes > 0 {
                    throw AerieError(.unsupported, "what is logged is decided at the start: aerie up --log-level")
                }
                return logSettings(ServerSettings(logLevel: state.options.logLevel))
            },
            "TraceSetting": unary(plane) { _, message throws(AerieError) in
                // Field 1 would change settings; 2 names a model.
                if try RepositoryMessage(message).hasFirst {
                    throw AerieError(.unsupported, "traces are not switched by requests")
                }
                return traceSettings()
            },
        ]
        for kind in ["SystemSharedMemory", "CudaSharedMemory"] {
            for verb in ["Status", "Register", "Unregister"] {
                methods[kind + verb] = GRPCMethod(.unary) { call, _ in
                    call.finish(
                        AerieError(.unsupported, "shared memory is not carried out; send tensors in the request"))
                }
            }
        }
        return methods
    }

    private static func unary(
        _ plane: InferencePlane, _ answer: @escaping @Sendable (LoopState, ByteBuffer) throws(AerieError) -> ByteBuffer
    ) -> GRPCMethod {
        GRPCMethod(.unary) { call, message in
            do throws(AerieError) { call.finish(try answer(plane.state(for: call.eventLoop), message)) } catch {
                call.finish(error)
            }
        }
    }

    /// The same about one model, which is brought into memory first if it sleeps.
    static func aboutModel(
        _ plane: InferencePlane, _ answer: @escaping @Sendable (LoopState, ByteBuffer) throws(AerieError) -> ByteBuffer
    ) -> GRPCMethod {
        GRPCMethod(.unary) { call, message in
            let state = plane.state(for: call.eventLoop)
            let finish: @Sendable () -> Void = {
                do throws(AerieError) { call.finish(try answer(state, message)) } catch { call.finish(error) }
            }
            do throws(AerieError) {
                let asked = Array(try modelName(message).name.utf8)
                guard let name = asked.withUnsafeBytes({ state.sleepingName($0) }) else { return finish() }
                try state.wake(name, interest: call.interest) { result in
                    switch result {
                    case .success: finish()
                    case .failure(let error): call.finish(error)
                    }
                }
            } catch { call.finish(error) }
        }
    }

    /// A change of the repository: done on a task, answered on the call's loop.
    private static func change(
        _ plane: InferencePlane,
        _ work: @escaping @Sendable (any ModelRepository, RepositoryMessage) async throws(AerieError) -> Void
    ) -> GRPCMethod {
        GRPCMethod(.unary) { call, message in
            do throws(AerieError) {
                guard let repository = plane.options.repository else {
                    throw AerieError(.unsupported, "this server has no model repository")
                }
                let asked = try RepositoryMessage(message)
                let eventLoop = call.eventLoop
                Task {
                    var failure: AerieError?
                    do throws(AerieError) { try await work(repository, asked) } catch { failure = error }
                    eventLoop.execute { [failure] in
                        if let failure { call.finish(failure) } else { call.finish(ByteBuffer()) }
                    }
                }
            } catch { call.finish(error) }
        }
    }

    private static func find(_ name: String, _ state: LoopState) throws(AerieError) -> DeploymentPlan {
        guard let found = state.plan.deployments.first(where: { $0.served.name == name }) else {
            throw .notFound("there is no model \(name)")
        }
        return found
    }

    /// Entries of a map from a name to a `SettingValue`: `bool_param` 1, `uint32_param` 2, `string_param` 3.
    private static func logSettings(_ settings: ServerSettings) -> ByteBuffer {
        var writer = ProtobufWriter()
        func entry(_ name: String, _ value: (inout ProtobufWriter) -> Void) {
            writer.message(1) {
                $0.text(1, name.utf8)
                $0.message(2, value)
            }
        }
        // A value of a `oneof` is written even if it is false, 0 or empty.
        entry("log_file") { $0.bytes(3, UnsafeRawBufferPointer(start: nil, count: 0)) }
        for flag in settings.flags {
            entry(flag.name) {
                $0.varint(1 << 3)
                $0.varint(flag.value ? 1 : 0)
            }
        }
        entry("log_verbose_level") {
            $0.varint(2 << 3)
            $0.varint(UInt64(settings.verbosity))
        }
        entry("log_format") { $0.text(3, "default".utf8) }
        return writer.buffer
    }

    private static func traceSettings() -> ByteBuffer {
        var writer = ProtobufWriter()
        for setting in ServerSettings.tracing {
            writer.message(1) {
                $0.text(1, setting.name.utf8)
                $0.message(2) { value in
                    for text in setting.values {
                        Array(text.utf8).withUnsafeBytes { value.bytes(1, $0) }
                    }
                }
            }
        }
        return writer.buffer
    }
}

/// A request about the repository: `repository_name` 1, `model_name` or `ready` 2, `parameters` 3.
struct RepositoryMessage: Sendable {
    private(set) var model = ""
    private(set) var onlyReady = false
    private(set) var hasFirst = false
    private(set) var asked = RepositoryRequest()

    init(_ message: ByteBuffer) throws(AerieError) {
        let bytes = Array(message.readableBytesView)
        let result = bytes.withUnsafeBytes { bytes -> Result<RepositoryMessage, AerieError> in
            do throws(AerieError) { return .success(try RepositoryMessage(bytes)) } catch { return .failure(error) }
        }
        self = try result.get()
    }

    private init(_ bytes: UnsafeRawBufferPointer) throws(AerieError) {
        var reader = ProtobufReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.wire) {
            case (1, _):
                hasFirst = true
                try reader.skip(field)
            case (2, 0): onlyReady = try reader.varint() != 0
            case (2, _): model = String(decoding: try reader.delimited(field), as: UTF8.self)
            case (3, _): try readParameter(try reader.delimited(field))
            default: try reader.skip(field)
            }
        }
    }

    /// An entry of the map: its name, and a value with a text (3) or bytes (4).
    private mutating func readParameter(_ entry: UnsafeRawBufferPointer) throws(AerieError) {
        var name = ""
        var content: UnsafeRawBufferPointer?
        var reader = ProtobufReader(entry)
        while let field = try reader.next() {
            switch field.number {
            case 1: name = String(decoding: try reader.delimited(field), as: UTF8.self)
            case 2:
                var value = ProtobufReader(try reader.delimited(field))
                while let field = try value.next() {
                    if field.number == 3 || field.number == 4 {
                        content = try value.delimited(field)
                    } else {
                        try value.skip(field)
                    }
                }
            default: try reader.skip(field)
            }
        }
        if name == "config", let content {
            try asked.take(config: String(decoding: content, as: UTF8.self))
        } else if name.hasPrefix("file:"), let content {
            try asked.take(file: name, Array(content))
        } else if name != "unload_dependents" {
            throw .invalid("parameters.\(name)", "no such parameter; config and file:VERSION/NAME are known")
        }
    }
}
