import AerieCore
import AerieJSON
import AerieTelemetry
import AerieWire
import Fuzzing
import Serving

@testable import InferenceAPI

private typealias Writer = AerieWire.ProtobufWriter

/// Seldon's messages in protobuf.
enum SeldonFuzzers {
    static var all: [Fuzzer] { [message, feedback] }

    private static var seeds: [[UInt8]] {
        func message(_ number: Int, _ write: (inout Writer) -> Void) -> [UInt8] {
            var inner = Writer()
            write(&inner)
            var outer = Writer()
            outer.field(2, bytes: [10, 1, 112])
            outer.field(number, bytes: inner.bytes)
            return outer.bytes
        }
        let values = [1.0, 2, 3].withUnsafeBytes { Array($0) }
        var tensor = Writer()
        tensor.field(1, bytes: [1, 3])
        tensor.field(2, bytes: values)
        let list = WellKnownValue.message([.array([.double(1), .double(2), .double(3)])])
        var shape = Writer()
        shape.field(2, bytes: [8, 3])
        var tf = Writer()
        tf.field(1, varint: 2)
        tf.field(2, bytes: shape.bytes)
        tf.field(4, bytes: values)
        let any = WellKnownValue.message(.object(["a": [1, nil]]))
        return [
            message(3) { $0.field(1, text: "a"); $0.field(2, bytes: tensor.bytes) },
            message(3) { $0.field(3, bytes: list) }, message(3) { $0.field(4, bytes: tf.bytes) },
            message(6) { $0.field(5, bytes: WellKnownValue.message(.object(["b": ["c", 2.5, true]]))) },
            message(7) {
                $0.field(1, text: "type.googleapis.com/google.protobuf.Value")
                $0.field(2, bytes: any)
            },
            [34, 3, 1, 2, 3], [42, 1, 97],
        ]
    }

    private static var message: Fuzzer {
        Fuzzer(
            "seldon-protobuf", "SeldonMessage in protobuf, up to the answer", shape: .protobuf, seeds: seeds,
            dictionary: ["google.protobuf.Struct", "google.protobuf.ListValue", "tensorflow.TensorProto", "type/"]
        ) {
            let plane = try FuzzedPlane()
            let plans = ["fraud", "churn", "echo"].map { plane.plan($0) }
            return { input in
                do throws(AerieError) {
                    let envelope = try SeldonProtobuf.read(input)
                    var outcomes = ""
                    for plan in plans {
                        let run = try SeldonRun(plan, envelope, puid: "p", service: .grpc)
                        do throws(AerieError) {
                            let answer = try run.run().get()
                            let payload = try SeldonPayload(answer, as: envelope.form)
                            _ = try SeldonProtobuf.write(payload, meta: answer.meta)
                            _ = try SeldonJSON.write(payload, meta: answer.meta).text()
                            outcomes += " ok"
                        } catch { outcomes += " \(error.message)" }
                    }
                    return outcomes
                } catch { return "\(error.code) \(error.message)" }
            }
        }
    }

    private static var feedback: Fuzzer {
        let wrapped = Self.seeds.map { seed -> [UInt8] in
            var writer = Writer()
            writer.field(1, bytes: seed)
            writer.field(2, bytes: seed)
            writer.field(3, fixed32: Float(1).bitPattern)
            return writer.bytes
        }
        return Fuzzer("seldon-feedback", "Seldon's feedback in protobuf", shape: .protobuf, seeds: wrapped) {
            { input in
                do throws(AerieError) {
                    let feedback = try SeldonProtobuf.readFeedback(input)
                    return "\(feedback.routing.count) \(feedback.rows ?? 0)"
                } catch { return "\(error.code) \(error.message)" }
            }
        }
    }
}
