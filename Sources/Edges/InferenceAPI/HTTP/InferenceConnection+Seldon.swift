import AerieHTTP
import AerieTelemetry
import Serving
import AerieCore
import AerieData
import ErrorMapping
import NIOCore

extension InferenceConnection {
    /// `POST /api/v1.0/predictions`
    func predictSeldon(
        _ exchange: HTTPExchange, _ route: HTTPRoute, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) {
        var slot = -1
        do throws(AerieError) {
            let named = UnsafeRawBufferPointer(rebasing: request[exchange.head.seldonModel])
            let deployment = try findDeployment(route, seldonModel: named)
            deployment.served.touch(exchange.start >> 20)
            state.scratch.clear()
            let header = UnsafeRawBufferPointer(rebasing: request[exchange.head.seldonPuid])
            var puid = header.isEmpty ? state.keepNewPuid() : state.scratch.keep(header)
            var plan = state.choose(deployment, puid: puid) { exchange.header($0, in: request) }
            slot = plan.served.metricsSlot
            state.route(to: plan)
            try admit(plan, exchange, request)
            guard plan.takesPlainRows, deployment.served.sticky?.column == nil, !isForm(exchange, request, body) else {
                return try predictMessage(exchange, deployment, puid: state.scratch.string(puid), request, body)
            }
            var message = SeldonMessage()
            do throws(AerieError) {
                message = try SeldonMessage.read(body, into: state.scratch, rowType: plan.rowType)
            } catch {
                // Another payload than rows of numbers is for the path that takes them all.
                guard SeldonMessage.hasOtherPayload(body) else { throw error }
                return try predictMessage(exchange, deployment, puid: state.scratch.string(puid), request, body)
            }
            if let own = message.puid, deployment.predictors.count > 1 {
                // The message's own puid decides, so that the same request goes the same way again.
                let chosen = state.choose(deployment, puid: own) { exchange.header($0, in: request) }
                guard chosen.takesPlainRows, chosen.rowType == plan.rowType else {
                    return try predictMessage(exchange, deployment, puid: state.scratch.string(own), request, body)
                }
                plan = chosen
                slot = plan.served.metricsSlot
                state.route(to: plan)
            }
            puid = message.puid ?? puid
            // The identifier goes into a header field: nothing may end the line there.
            guard puid.count <= 256, state.scratch.text[puid].allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
                throw .invalid("meta.puid", "must be at most 256 visible ASCII characters")
            }
            state.scratch.terms.deadline = try deadline(plan.served.limits, exchange, request)
            state.scratch.id = puid
            if try runSeldon(plan, message, puid, exchange) { record(exchange, slot, 200, .predictions) }
        } catch {
            writeSeldonError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .predictions)
        }
    }

    private func runSeldon(
        _ plan: PredictorPlan, _ message: SeldonMessage, _ puid: Range<Int>, _ exchange: HTTPExchange
    ) throws(AerieError) -> Bool {
        guard let tabular = plan.tabular else { throw AerieError(.internal, "the model takes no rows") }
        let rows = try message.orderedRows(plan, state.scratch)
        try plan.checkRows(message.rows)
        if plan.isInline(rows: message.rows, within: state.options.inlineNanoseconds) {
            state.predict(plan, tabular, rows, message.rows, .predictions)
            state.count(plan, rows: message.rows, state.scratch.results.bytes)
            writeSeldon(
                plan, message.form, puid, rows: message.rows, columns: plan.outputCount,
                plan.outputs[0].dataType, state.scratch.results.bytes, exchange)
            return true
        }
        let job = plan.isFast
            ? ModelJob(plan, rows: rows, count: message.rows, state.scratch.terms)
            : ModelJob(plan, tensors: [rowTensor(plan, rows, message.rows)], state.scratch.terms)
        let form = message.form
        let kept = Array(state.scratch.text[puid])
        let result = try state.run(job, .predictions, interest: interest) { [self] result in
            complete(exchange) {
                state.scratch.clear()
                let puid = kept.withUnsafeBytes { state.scratch.keep($0) }
                finishSeldon(plan, form, puid, result, exchange)
            }
        }
        if let result { finishSeldon(plan, form, puid, result, exchange) } else { isBusy = true }
        return false
    }

    /// Whether the body may be a form, by its first byte and its content type.
    private func isForm(
        _ exchange: HTTPExchange, _ request: UnsafeRawBufferPointer, _ body: UnsafeRawBufferPointer
    ) -> Bool {
        if body.first == UInt8(ascii: "{") { return false }
        guard let type = exchange.header("content-type", in: request) else { return false }
        return type.starts(with: "multipart/".utf8) || type.starts(with: "application/x-www-form".utf8)
    }

    private func finishSeldon(
        _ plan: PredictorPlan, _ form: SeldonMessage.Form, _ puid: Range<Int>, _ result: Result<[Tensor], AerieError>,
        _ exchange: HTTPExchange
    ) {
        let slot = plan.served.metricsSlot
        switch result {
        case .success(let tensors):
            guard let first = tensors.first else {
                writeSeldonError(AerieError(.internal, "the model has no output"), exchange)
                return record(exchange, slot, 500, .predictions)
            }
            let rows = first.shape.first ?? 1
            let columns = rows > 0 ? (first.elementCount ?? 0) / rows : 0
            state.count(plan, rows: rows, tensors)
            first.bytes.withUnsafeBytes {
                writeSeldon(plan, form, puid, rows: rows, columns: columns, first.dataType, $0, exchange)
            }
            record(exchange, slot, 200, .predictions)
        case .failure(let error):
            writeSeldonError(error, exchange)
            record(exchange, slot, error.code.httpStatus, .predictions)
        }
    }

    private func writeSeldon(
        _ plan: PredictorPlan, _ form: SeldonMessage.Form, _ puid: Range<Int>, rows: Int, columns: Int,
        _ type: DataType, _ values: UnsafeRawBufferPointer, _ exchange: HTTPExchange
    ) {
        state.flow.timeline.markSerialize()
        let answer = state.scratch.text.withUnsafeBytes {
            HTTPAnswer(
                200, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10,
                puid: UnsafeRawBufferPointer(rebasing: $0[puid]), isSeldon: true, date: state.date, into: &state.out)
        }
        state.out.writeStaticString("{\"meta\":{\"puid\":")
        state.out.writeQuoted(state.scratch.text[puid])
        state.out.writeStaticString(",")
        state.out.writeBytes(plan.seldonMeta)
        state.out.writeStaticString(",\"data\":{\"names\":")
        if columns == max(1, plan.outputCount) {
            state.out.writeBytes(plan.seldonNames)
        } else {
            state.out.writeString("[\((0..<columns).map { "\"t:\($0)\"" }.joined(separator: ","))]")
        }
        if form == .tensor {
            state.out.writeStaticString(",\"tensor\":{\"shape\":[")
            state.out.writeDecimal(rows)
            state.out.writeStaticString(",")
            state.out.writeDecimal(columns)
            state.out.writeStaticString("],\"values\":[")
            writeElements(values, type, to: &state.out)
            state.out.writeStaticString("]}}}")
        } else {
            state.out.writeStaticString(",\"ndarray\":[")
            let stride = (type.byteCount ?? 0) * columns
            for row in 0..<rows where stride > 0 && (row + 1) * stride <= values.count {
                state.out.writeStaticString(row == 0 ? "[" : ",[")
                let slice = UnsafeRawBufferPointer(rebasing: values[(row * stride)..<((row + 1) * stride)])
                writeElements(slice, type, to: &state.out)
                state.out.writeStaticString("]")
            }
            state.out.writeStaticString("]}}")
        }
        answer.end(&state.out)
    }

    func writeSeldonError(_ error: AerieError, _ exchange: HTTPExchange) {
        state.noteFailure(error.message)
        let status = error.code.httpStatus
        let answer = HTTPAnswer(
            status, .json, keepsAlive: exchange.keepsAlive, isHTTP10: exchange.head.isHTTP10, isSeldon: true,
            date: state.date, into: &state.out)
        state.out.writeStaticString("{\"status\":{\"code\":")
        state.out.writeDecimal(status)
        state.out.writeStaticString(",\"info\":")
        state.out.writeQuoted(error.message.utf8)
        state.out.writeStaticString(",\"reason\":")
        state.out.writeQuoted((error.code == .invalidArgument ? "MICROSERVICE_BAD_DATA" : "ENGINE_ERROR").utf8)
        state.out.writeStaticString(",\"status\":\"FAILURE\"}}")
        answer.end(&state.out)
    }
}
