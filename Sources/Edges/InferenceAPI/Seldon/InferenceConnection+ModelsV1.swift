import AerieCore
import AerieData
import AerieHTTP
import AerieJSON
import AerieTelemetry
import ErrorMapping
import NIOCore
import Serving

/// KServe's first protocol, which is TensorFlow Serving's REST form: `instances` are rows and give `predictions`;
/// `inputs` are columns and give `outputs`.
extension InferenceConnection {
    /// `POST /v1/models/{model}:predict`
    func predictV1(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        var slot = -1
        do throws(AerieError) {
            let deployment = try findDeployment(route, seldonModel: nil)
            deployment.served.touch(exchange.start >> 20)
            if let only = deployment.predictors.first, deployment.predictors.count == 1 {
                slot = only.served.metricsSlot
                try admit(only, exchange, request)
            }
            let (message, isColumnar) = try messageV1(body)
            let envelope = SeldonEnvelope(form: .jsonData, message: message)
            state.scratch.clear()
            let name = exchange.header("seldon-puid", in: request) ?? exchange.header("x-request-id", in: request)
            let puid = state.puid(named: name.map { Array($0) } ?? [])
            let plan: PredictorPlan
            if let column = deployment.served.sticky?.column, let key = envelope.message.text(ofColumn: column) {
                plan = deployment.plan(of: deployment.served.pick(key: key.utf8))
            } else {
                plan = state.choose(deployment) { exchange.header($0, in: request) }
            }
            slot = plan.served.metricsSlot
            state.route(to: plan)
            var run = try SeldonRun(plan, envelope, puid: puid, service: .infer)
            run.deadline = try deadline(plan.served.limits, exchange, request)
            let result = try state.run(run, interest: interest) { [self] result in
                complete(exchange) { writeV1(result, plan, isColumnar, exchange) }
            }
            if let result { writeV1(result, plan, isColumnar, exchange) } else { isBusy = true }
        } catch {
            writeError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .infer)
        }
    }

    /// The rows of a request, and whether they came as columns.
    func messageV1(_ body: UnsafeRawBufferPointer) throws(AerieError) -> (message: GraphMessage, isColumnar: Bool) {
        let value: JSONValue
        do throws(JSONError) { value = try JSONValue.parse(Array(body)) } catch {
            throw error.asAerieError(in: "request body")
        }
        let isColumnar = value["instances"] == nil && value["inputs"] != nil
        guard let instances = value["instances"] ?? value["inputs"] else {
            throw .invalid("instances", "is missing; send rows as instances, or columns as inputs")
        }
        return (GraphMessage(isColumnar ? try Self.columns(instances) : try Self.rows(instances)), isColumnar)
    }

    /// A list of rows; numbers by themselves are rows of one.
    private static func rows(_ value: JSONValue) throws(AerieError) -> GraphMessage.Payload {
        guard let list = value.array, !list.isEmpty else { throw .invalid("instances", "is no list of rows") }
        if list[0].array == nil, list[0].object == nil { return SeldonEnvelope.payload(.array(list.map { [$0] })) }
        // A row may be named by its only input, as TensorFlow's clients do.
        let unnamed = list.map { row -> JSONValue in
            guard let only = row.object?.members.first, row.object?.members.count == 1, only.value.array != nil else {
                return row
            }
            return only.value
        }
        return SeldonEnvelope.payload(.array(unnamed))
    }

    /// A list for each input, or the values of the only one.
    private static func columns(_ value: JSONValue) throws(AerieError) -> GraphMessage.Payload {
        guard let object = value.object else { return try rows(value) }
        if object.members.count == 1, object.members[0].value[0]?.array != nil {
            return try rows(object.members[0].value)
        }
        let count = object.members.first?.value.array?.count ?? 0
        var rows: [JSONValue] = []
        for index in 0..<count {
            var row = JSONObject()
            for member in object.members {
                guard let cell = member.value[index] else {
                    throw .invalid("inputs.\(member.key)", "has fewer values than the first input, \(count)")
                }
                row[member.key] = cell[0] ?? cell
            }
            rows.append(.object(row))
        }
        return .json(.array(rows))
    }

    private func writeV1(
        _ result: Result<GraphMessage, AerieError>, _ plan: PredictorPlan, _ isColumnar: Bool, _ exchange: HTTPExchange
    ) {
        let slot = plan.served.metricsSlot
        do throws(AerieError) {
            let answer = try result.get()
            guard case .tensors(let tensors) = answer.payload, let first = tensors.first else {
                throw AerieError(.unsupported, "the graph answers no tensors; ask it by Seldon's protocol")
            }
            state.flow.timeline.markSerialize()
            var object = JSONObject()
            if isColumnar {
                object["outputs"] = tensors.count == 1
                    ? Self.flat(first) : .object(JSONObject(tensors.map { ($0.name, Self.flat($0)) }))
            } else if tensors.count == 1 {
                object["predictions"] = Self.flat(first)
            } else {
                let columns = tensors.map { ($0.name, Self.flat($0)) }
                let rows = (0..<(first.shape.first ?? 0)).map { row in
                    JSONValue.object(JSONObject(columns.map { ($0.0, $0.1[row] ?? .null) }))
                }
                object["predictions"] = .array(rows)
            }
            write(exchange, JSONValue.object(object).text(), puid: answer.meta.puid)
            record(exchange, slot, 200, .infer)
        } catch {
            writeError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .infer)
        }
    }

    /// A number a row where there is one.
    private static func flat(_ tensor: Tensor) -> JSONValue {
        var tensor = tensor
        if tensor.shape.count == 2, tensor.shape[1] == 1 { tensor.shape = [tensor.shape[0]] }
        return tensor.nestedJSON
    }
}

/// `GET /v1/models/{model}`: KServe's form and TensorFlow Serving's in one object.
func modelStatusV1JSON(_ deployment: DeploymentPlan) -> String {
    let states = versions(of: deployment).map { version -> JSONValue in
        [
            "version": .string(version), "state": "AVAILABLE", "status": ["error_code": "OK", "error_message": ""],
        ]
    }
    return JSONValue.object([
        "name": .string(deployment.served.name), "ready": true, "model_version_status": .array(states),
    ]).text()
}
