import AerieData
import AerieJSON
import Serving

/// What one node of a graph was given or answered, as JSON of the protocol that the graph was asked by: nodes have no
/// wire between them whose bytes could be copied.
struct NodeCopy {
    static let type = "application/json"

    let node: String
    let requestID: String
    /// By Seldon's names.
    let spoken: String

    func body(_ message: GraphMessage, isAnswer: Bool) -> [UInt8] {
        switch (spoken, message.payload) {
        case ("v2", .tensors(let tensors)):
            let list = tensors.map { tensor -> JSONValue in
                [
                    "name": .string(tensor.name.isEmpty ? "input" : tensor.name),
                    "datatype": .string(tensor.dataType.rawValue),
                    "shape": .array(tensor.shape.map { .int(Int64($0)) }), "data": .array(tensor.jsonElements),
                ]
            }
            let body: JSONObject = [
                "model_name": .string(node), "id": .string(requestID), isAnswer ? "outputs" : "inputs": .array(list),
            ]
            return JSONValue.object(body).utf8()
        case ("tensorflow", _):
            let body: JSONObject = [isAnswer ? "predictions" : "instances": .array(message.jsonRows)]
            return JSONValue.object(body).utf8()
        default:
            // A payload without a form of its own in JSON is told by its rows.
            let written = try? SeldonJSON.write(SeldonPayload(message, as: .ndarray), meta: message.meta)
            return (written ?? ["jsonData": .array(message.jsonRows)]).utf8()
        }
    }
}
