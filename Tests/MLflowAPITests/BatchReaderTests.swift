import AerieCore
import AerieJSON
import Experiments
import NIOCore
import Testing

@testable import MLflowAPI

@Suite struct BatchReaderTests {
    static let bodies = [
        #"{"run_id":"r","metrics":[{"key":"a","value":0.5,"timestamp":1,"step":2}]}"#,
        #"{"run_id": "r", "metrics": [{"key": "ä\u0062", "value": -1e3, "timestamp": "17", "step": "-2"}], "params": [], "tags": []}"#,
        #"{"run_id":"r","params":[{"key":"p","value":""}],"tags":[{"value":"v","key":"t"}]}"#,
        #"{"metrics":[{"timestamp":1.0,"key":"n","value":NaN},{"key":"i","value":Infinity,"timestamp":3}],"run_id":"r"}"#,
        #"{"run_id":"r"}"#,
    ]

    @Test("plain bodies give the batch that reading their fields gives", arguments: bodies)
    func plain(_ text: String) throws {
        let quick = try #require(BatchReader.read(ByteBuffer(string: text)))
        let careful = try Fields(
            try #require(try JSONValue.parse(Array(text.utf8), allowsNonFinite: true).object), path: ""
        ).batch()
        #expect("\(quick)" == "\(careful)")
    }

    @Test(
        "what is not plain is left to the reader that tells what is wrong",
        arguments: [
            "", "[]", "{", "{}", #"{"run_id":""}"#, #"{"run_id":"r","run_id":"s"}"#, #"{"run_uuid":"r"}"#,
            #"{"run_id":"r","metrics":[{"key":"a","value":1}]}"#,
            #"{"run_id":"r","metrics":[{"key":"","value":1,"timestamp":1}]}"#,
            #"{"run_id":"r","metrics":[{"key":"a","value":"1","timestamp":1}]}"#, #"{"run_id":"r","metrics":{}}"#,
            #"{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1,"model_id":"m"}]}"#,
            #"{"run_id":"r","metrics":[{"key":"a","value":1,"timestamp":1.5}]}"#,
            #"{"run_id":"r","tags":[{"key":"t"}]}"#,
            #"{"run_id":"r","params":[{"key":"t","value":null}]}"#, #"{"run_id":"r"} x"#, #"{"run_id":7}"#,
        ])
    func odd(_ text: String) { #expect(BatchReader.read(ByteBuffer(string: text)).map { "\($0)" } == nil) }
}
