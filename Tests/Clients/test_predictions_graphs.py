"""What goes through graphs, and by Seldon's and KServe's protocols, is in the prediction log, with feedback beside it."""

import json

import pandas
import pytest
import tritonclient.grpc
import tritonclient.http

from test_seldon import COLUMNS, ROWS, apply, ask, model, models, node, post  # noqa: F401

LOGGED = {"aerie.dev/prediction-log": "1"}


def kept(aerie, puid, rows=1):
    """The request's rows, once they are there: a loop hands over what it has at the latest after a second."""
    for _ in range(200):
        found = json.loads(aerie.cli("predictions", "list", "--json", "--puid", puid).stdout)["predictions"]
        if len(found) >= rows:
            return sorted(found, key=lambda row: row["row"])
    raise AssertionError(f"{puid} is not logged")


@pytest.fixture(scope="module")
def ensemble(aerie, models):
    children = [model("first", models[1][0]), model("second", models[2][0])]
    graph = node("mean", "COMBINER", "average", children)
    apply(aerie, "logged-ensemble", graph, LOGGED)
    return (models[1][1] + models[2][1]) / 2


@pytest.mark.parametrize("transport", ["rest", "grpc"])
def test_a_graph_by_seldons_client(aerie, ask, ensemble, transport):
    done = ask("logged-ensemble", transport, payload={"data": ROWS[:2].tolist(), "payload_type": "ndarray",
                                                      "names": COLUMNS})
    assert done["success"], done
    rows = kept(aerie, done["response"]["meta"]["puid"], 2)
    assert [row["outputs"][0] for row in rows] == pytest.approx(ensemble[:2].tolist())
    assert [list(row["features"].values()) for row in rows] == ROWS[:2].tolist()
    assert list(rows[0]["features"]) == COLUMNS
    assert rows[0]["routing"] == {"logged-ensemble": 0, "mean": -1}
    assert set(rows[0]["versions"]) == {"first", "second"}
    assert rows[0]["deployment"] == "logged-ensemble" and rows[0]["predictor"] == "main"


def test_a_graph_by_tritons_clients(aerie, ensemble):
    for client, name in [(tritonclient.http, "graph-http"), (tritonclient.grpc, "graph-grpc")]:
        address = aerie.inference_http.removeprefix("http://") if client is tritonclient.http else aerie.inference_grpc
        with client.InferenceServerClient(address) as connection:
            tensor = client.InferInput("input", [2, 3], "FP64")
            tensor.set_data_from_numpy(ROWS[:2])
            connection.infer("logged-ensemble", [tensor], request_id=name)
        rows = kept(aerie, name, 2)
        assert [row["outputs"][0] for row in rows] == pytest.approx(ensemble[:2].tolist())


def test_routing_feedback_and_truth(aerie, ask, models, tmp_path):
    children = [model("first", models[1][0]), model("second", models[2][0])]
    apply(aerie, "logged-router", node("router", "ROUTER", "epsilon-greedy", children, epsilon=0.5, seed=3), LOGGED)
    arms = set()
    for number in range(12):
        head = {"Seldon-Puid": f"routed-{number}"}
        answer = post(aerie, "/seldon/default/logged-router/api/v1.0/predictions",
                      {"data": {"ndarray": ROWS[:1].tolist()}}, head)
        arm = answer["meta"]["routing"]["router"]
        row = kept(aerie, f"routed-{number}")[0]
        assert row["routing"]["router"] == arm and list(row["versions"]) == [["first", "second"][arm]]
        assert row["outputs"][0] == pytest.approx(models[arm + 1][1][0])
        arms.add(arm)
    assert arms == {0, 1}
    feedback = {"response": {"meta": {"puid": "routed-3"}}, "reward": 0.75, "truth": {"data": {"ndarray": [[1]]}}}
    post(aerie, "/seldon/default/logged-router/api/v1.0/feedback", feedback)
    aerie.cli("predictions", "label", "routed-4", "0")
    told = kept(aerie, "routed-3")[0]
    assert told["label"] == 1.0 and told["reward"] == 0.75
    output = tmp_path / "graphs.parquet"
    aerie.cli("predictions", "export", "--deployment", "logged-router", "--labelled", "--output", str(output))
    table = pandas.read_parquet(output).sort_values("puid")
    assert table["puid"].tolist() == ["routed-3", "routed-4"] and table["label"].tolist() == [1.0, 0.0]
    assert table["reward"][table["puid"] == "routed-3"].tolist() == [0.75]
    assert dict(table["routing"].iloc[0])["logged-router"] == 0


def test_every_payload_of_a_single_model(aerie, models):
    apply(aerie, "logged-single", model("classifier", models[1][0]), LOGGED)
    row, expected = ROWS[0].tolist(), models[1][1][0]
    payloads = {"nd": {"data": {"ndarray": [row]}}, "tensor": {"data": {"tensor": {"shape": [1, 3], "values": row}}},
                "text": {"strData": json.dumps([row])}, "json": {"jsonData": [dict(zip(COLUMNS, row))]}}
    for name, payload in payloads.items():
        post(aerie, "/seldon/default/logged-single/api/v1.0/predictions", payload, {"Seldon-Puid": f"single-{name}"})
    post(aerie, "/v1/models/logged-single:predict", {"instances": [row]}, {"X-Request-Id": "single-v1"})
    for name in [*payloads, "v1"]:
        found = kept(aerie, f"single-{name}")[0]
        assert found["outputs"][0] == pytest.approx(expected), name
        assert list(found["features"]) == COLUMNS and list(found["features"].values()) == pytest.approx(row)
        assert found["routing"] == {"logged-single": 0} and list(found["versions"]) == ["classifier"]
    assert kept(aerie, "single-nd")[0]["request"] is None
