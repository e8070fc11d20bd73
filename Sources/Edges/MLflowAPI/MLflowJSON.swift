import AerieCore
import AerieJSON
import Experiments
import Registry

/// Entities in the words of MLflow's messages. Fields that have no value are left out, as protobuf's JSON does.
extension JSONObject {
    /// Adds a field unless there is nothing to say.
    mutating func add(_ key: String, _ text: String?) {
        if let text { members.append(.init(key: key, value: .string(text))) }
    }
    mutating func add(_ key: String, _ time: Timestamp?) {
        if let time { members.append(.init(key: key, value: .int(time.milliseconds))) }
    }
    mutating func add(_ key: String, _ list: [JSONValue]) {
        if !list.isEmpty { members.append(.init(key: key, value: .array(list))) }
    }
    mutating func add(nextPage: PagePosition?) { add("next_page_token", nextPage?.token) }
}

extension Tag {
    var mlflow: JSONValue { .object(["key": .string(key), "value": .string(value)]) }
}

extension Param {
    var mlflow: JSONValue { .object(["key": .string(key), "value": .string(value)]) }
}

extension Metric {
    func mlflow(run: RunID? = nil) -> JSONValue {
        var object: JSONObject = [
            "key": .string(key), "value": value.isNaN ? .string("NaN") : .double(value),
            "timestamp": .int(timestamp.milliseconds), "step": .int(step),
        ]
        object.add("model_id", modelID?.text)
        object.add("dataset_name", datasetName)
        object.add("dataset_digest", datasetDigest)
        object.add("run_id", run?.text)
        return .object(object)
    }
}

extension Metric {
    fileprivate var ofRun: Metric { Metric(key: key, value: value, timestamp: timestamp, step: step) }
}

extension Experiment {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "experiment_id": .string(id.text), "name": .string(name), "artifact_location": .string(artifactLocation),
            "lifecycle_stage": .string(stage.rawValue), "last_update_time": .int(lastUpdateTime.milliseconds),
            "creation_time": .int(creationTime.milliseconds),
        ]
        object.add("tags", tags.map(\.mlflow))
        return .object(object)
    }
}

extension RunInfo {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "run_uuid": .string(id.text), "experiment_id": .string(experimentID.text), "run_name": .string(name),
            "user_id": .string(userID), "status": .string(status.rawValue), "start_time": .int(startTime.milliseconds),
        ]
        object.add("end_time", endTime)
        object.add("artifact_uri", artifactURI)
        object.add("lifecycle_stage", stage.rawValue)
        object.add("run_id", id.text)
        return .object(object)
    }
}

extension DatasetInput {
    var mlflow: JSONValue {
        var dataset: JSONObject = [
            "name": .string(name), "digest": .string(digest), "source_type": .string(sourceType),
            "source": .string(source),
        ]
        dataset.add("schema", schema)
        dataset.add("profile", profile)
        var object = JSONObject()
        object.add("tags", tags.map(\.mlflow))
        object["dataset"] = .object(dataset)
        return .object(object)
    }
}

extension Run {
    var mlflow: JSONValue {
        var data = JSONObject()
        // A run's own metrics; which model they are of is said with the model and in the history.
        data.add("metrics", metrics.map { $0.ofRun.mlflow() })
        data.add("params", params.map(\.mlflow))
        data.add("tags", tags.map(\.mlflow))
        var inputs = JSONObject()
        inputs.add("dataset_inputs", datasets.map(\.mlflow))
        inputs.add("model_inputs", modelInputs.map { .object(["model_id": .string($0.text)]) })
        var object: JSONObject = ["info": info.mlflow, "data": .object(data), "inputs": .object(inputs)]
        if !modelOutputs.isEmpty {
            let outputs = modelOutputs.map { output -> JSONValue in
                .object(["model_id": .string(output.modelID.text), "step": .int(output.step)])
            }
            object["outputs"] = .object(["model_outputs": .array(outputs)])
        }
        return .object(object)
    }

    /// As `mlflow`, with the models made also where there are none: so a run is given when it is read.
    var mlflowComplete: JSONValue {
        guard modelOutputs.isEmpty, var object = mlflow.object else { return mlflow }
        object["outputs"] = [:]
        return .object(object)
    }
}

extension LoggedModel {
    var mlflow: JSONValue {
        var info: JSONObject = [
            "model_id": .string(id.text), "experiment_id": .string(experimentID.text), "name": .string(name),
            "creation_timestamp_ms": .int(creationTime.milliseconds),
            "last_updated_timestamp_ms": .int(lastUpdateTime.milliseconds), "artifact_uri": .string(artifactURI),
            "status": .string(status.rawValue), "model_type": .string(modelType),
        ]
        info.add("source_run_id", sourceRunID?.text ?? "")
        info.add("tags", tags.map(\.mlflow))
        var data = JSONObject()
        data.add("params", params.map(\.mlflow))
        data.add("metrics", metrics.map { $0.metric.mlflow(run: $0.runID) })
        return .object(["info": .object(info), "data": .object(data)])
    }
}

extension ModelVersion {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "name": .string(name), "version": .string(String(version)),
            "creation_timestamp": .int(creationTime.milliseconds),
            "last_updated_timestamp": .int(lastUpdateTime.milliseconds),
            "current_stage": .string(stage.rawValue), "description": .string(description), "source": .string(source),
            "run_id": .string(runID?.text ?? ""), "status": .string(status.rawValue), "run_link": .string(runLink),
        ]
        object.add("tags", tags.map(\.mlflow))
        object.add("aliases", aliases.map { .string($0) })
        object.add("model_id", modelID?.text)
        if !userID.isEmpty { object.add("user_id", userID) }
        return .object(object)
    }
}

extension RegisteredModel {
    var mlflow: JSONValue {
        var object: JSONObject = [
            "name": .string(name), "creation_timestamp": .int(creationTime.milliseconds),
            "last_updated_timestamp": .int(lastUpdateTime.milliseconds),
        ]
        if !description.isEmpty { object.add("description", description) }
        object.add("latest_versions", latestVersions.map(\.mlflow))
        object.add("tags", tags.map(\.mlflow))
        object.add(
            "aliases",
            aliases.map {
                .object([
                    "alias": .string($0.alias),
                    "version": .string(String($0.version)),
                ])
            })
        return .object(object)
    }
}

extension ArtifactEntry {
    /// - Parameter shown: how the client calls the path.
    func mlflow(_ shown: String) -> JSONValue {
        var object: JSONObject = ["path": .string(shown), "is_dir": .bool(isDirectory)]
        if let size { object["file_size"] = .int(size) }
        return .object(object)
    }
}
