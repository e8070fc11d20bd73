/// `inference.GRPCInferenceService` as server reflection describes it. Field numbers are those of the Open Inference
/// Protocol and of Triton's extensions of it.
extension ProtoFile {
    static let inference = ProtoFile(
        name: "inference.proto", package: "inference", messages: inferenceMessages,
        services: [
            (
                "GRPCInferenceService",
                [
                    method("ServerLive"), method("ServerReady"), method("ModelReady"), method("ServerMetadata"),
                    method("ModelMetadata"), method("ModelInfer"),
                    Method(
                        name: "ModelStreamInfer", input: "inference.ModelInferRequest",
                        output: "inference.ModelStreamInferResponse", clientStreams: true, serverStreams: true),
                    method("ModelStatistics"), method("RepositoryIndex"), method("RepositoryModelLoad"),
                    method("RepositoryModelUnload"),
                ]
            )
        ])

    private static func method(_ name: String) -> Method {
        Method(name: name, input: "inference.\(name)Request", output: "inference.\(name)Response")
    }

    private static let inferenceMessages: [(name: String, fields: String)] = [
        ("ServerLiveRequest", ""),
        ("ServerLiveResponse", "live 1 bool"),
        ("ServerReadyRequest", ""),
        ("ServerReadyResponse", "ready 1 bool"),
        ("ModelReadyRequest", "name 1 string, version 2 string"),
        ("ModelReadyResponse", "ready 1 bool"),
        ("ServerMetadataRequest", ""),
        ("ServerMetadataResponse", "name 1 string, version 2 string, extensions 3 repeated string"),
        ("ModelMetadataRequest", "name 1 string, version 2 string"),
        (
            "ModelMetadataResponse",
            "name 1 string, versions 2 repeated string, platform 3 string, inputs 4 "
                + "repeated ModelMetadataResponse.TensorMetadata, outputs 5 repeated "
                + "ModelMetadataResponse.TensorMetadata"
        ),
        ("ModelMetadataResponse.TensorMetadata", "name 1 string, datatype 2 string, shape 3 repeated int64"),
        (
            "InferParameter",
            "|bool_param 1 bool, |int64_param 2 int64, |string_param 3 string, "
                + "|double_param 4 double, |uint64_param 5 uint64"
        ),
        (
            "InferTensorContents",
            "bool_contents 1 repeated bool, int_contents 2 repeated int32, "
                + "int64_contents 3 repeated int64, uint_contents 4 repeated uint32, "
                + "uint64_contents 5 repeated uint64, fp32_contents 6 repeated float, "
                + "fp64_contents 7 repeated double, bytes_contents 8 repeated bytes"
        ),
        (
            "ModelInferRequest",
            "model_name 1 string, model_version 2 string, id 3 string, parameters 4 "
                + "map InferParameter, inputs 5 repeated "
                + "ModelInferRequest.InferInputTensor, outputs 6 repeated "
                + "ModelInferRequest.InferRequestedOutputTensor, raw_input_contents 7 "
                + "repeated bytes"
        ),
        (
            "ModelInferRequest.InferInputTensor",
            "name 1 string, datatype 2 string, shape 3 repeated int64, parameters 4 "
                + "map InferParameter, contents 5 InferTensorContents"
        ),
        ("ModelInferRequest.InferRequestedOutputTensor", "name 1 string, parameters 2 map InferParameter"),
        (
            "ModelInferResponse",
            "model_name 1 string, model_version 2 string, id 3 string, parameters 4 "
                + "map InferParameter, outputs 5 repeated "
                + "ModelInferResponse.InferOutputTensor, raw_output_contents 6 repeated "
                + "bytes"
        ),
        (
            "ModelInferResponse.InferOutputTensor",
            "name 1 string, datatype 2 string, shape 3 repeated int64, parameters 4 "
                + "map InferParameter, contents 5 InferTensorContents"
        ),
        ("ModelStreamInferResponse", "error_message 1 string, infer_response 2 ModelInferResponse"),
        ("ModelStatisticsRequest", "name 1 string, version 2 string"),
        ("StatisticDuration", "count 1 uint64, ns 2 uint64"),
        (
            "InferStatistics",
            "success 1 StatisticDuration, fail 2 StatisticDuration, queue 3 "
                + "StatisticDuration, compute_input 4 StatisticDuration, compute_infer 5 "
                + "StatisticDuration, compute_output 6 StatisticDuration, cache_hit 7 "
                + "StatisticDuration, cache_miss 8 StatisticDuration"
        ),
        (
            "InferBatchStatistics",
            "batch_size 1 uint64, compute_input 2 StatisticDuration, compute_infer 3 "
                + "StatisticDuration, compute_output 4 StatisticDuration"
        ),
        (
            "ModelStatistics",
            "name 1 string, version 2 string, last_inference 3 uint64, "
                + "inference_count 4 uint64, execution_count 5 uint64, inference_stats 6 "
                + "InferStatistics, batch_stats 7 repeated InferBatchStatistics"
        ),
        ("ModelStatisticsResponse", "model_stats 1 repeated ModelStatistics"),
        ("RepositoryIndexRequest", "repository_name 1 string, ready 2 bool"),
        ("RepositoryIndexResponse", "models 1 repeated RepositoryIndexResponse.ModelIndex"),
        ("RepositoryIndexResponse.ModelIndex", "name 1 string, version 2 string, state 3 string, reason 4 string"),
        (
            "ModelRepositoryParameter",
            "|bool_param 1 bool, |int64_param 2 int64, |string_param 3 string, "
                + "|bytes_param 4 bytes"
        ),
        (
            "RepositoryModelLoadRequest",
            "repository_name 1 string, model_name 2 string, parameters 3 map "
                + "ModelRepositoryParameter"
        ),
        ("RepositoryModelLoadResponse", ""),
        (
            "RepositoryModelUnloadRequest",
            "repository_name 1 string, model_name 2 string, parameters 3 map "
                + "ModelRepositoryParameter"
        ),
        ("RepositoryModelUnloadResponse", ""),
    ]
}

/// `grpc.health.v1.Health` likewise.
extension ProtoFile {
    static let health = ProtoFile(
        name: "grpc/health/v1/health.proto", package: "grpc.health.v1",
        messages: [
            ("HealthCheckRequest", "service 1 string"),
            // An enumeration on the wire is a whole number.
            ("HealthCheckResponse", "status 1 int32"),
        ],
        services: [
            (
                "Health",
                [
                    Method(
                        name: "Check", input: "grpc.health.v1.HealthCheckRequest",
                        output: "grpc.health.v1.HealthCheckResponse"),
                    Method(
                        name: "Watch", input: "grpc.health.v1.HealthCheckRequest",
                        output: "grpc.health.v1.HealthCheckResponse", serverStreams: true),
                ]
            )
        ])
}
