"""A real Prometheus scrapes /metrics and answers the founding document's queries."""
import shutil
import socket
import subprocess
import time

import pytest
import requests

QUERIES = {
    "P99 latency": "histogram_quantile(0.99, rate(seldon_api_executor_server_requests_seconds_bucket[5m]))",
    "requests per second": "rate(seldon_api_executor_server_requests_seconds_count[1m])",
    "error rate": 'rate(seldon_api_executor_server_requests_seconds_count{code=~"5.."}[5m])'
                  " / rate(seldon_api_executor_server_requests_seconds_count[5m])",
    "prediction distribution": 'sum(rate(model_predictions_total{prediction="fraud"}[5m]))'
                               " / sum(rate(model_predictions_total[5m]))",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def prometheus(aerie, tmp_path_factory):
    folder, port = tmp_path_factory.mktemp("prometheus"), free_port()
    target = aerie.http.removeprefix("http://")
    (folder / "prometheus.yml").write_text(
        "global: {scrape_interval: 1s}\n"
        f"scrape_configs:\n- job_name: aerie\n  static_configs: [{{targets: ['{target}']}}]\n")
    process = subprocess.Popen(
        [shutil.which("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
         f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if requests.get(url + "/-/ready", timeout=1).status_code == 200:
                break
        except requests.ConnectionError:
            time.sleep(0.2)
    yield url
    process.terminate()
    process.wait(20)


def query(prometheus, text):
    answer = requests.get(prometheus + "/api/v1/query", params={"query": text}, timeout=10).json()
    assert answer["status"] == "success", answer
    return answer["data"]["result"]


def test_the_founding_documents_queries_answer(aerie, prometheus, fraud_deployment):
    url = f"{aerie.inference_http}/v2/models/{fraud_deployment.name}/infer"
    end = time.monotonic() + 8
    while time.monotonic() < end:
        for row in fraud_deployment.rows[:20]:
            body = {"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP64", "data": [row]}]}
            requests.post(url, json=body, timeout=5).raise_for_status()
        time.sleep(0.2)
    assert query(prometheus, "up{job='aerie'}")[0]["value"][1] == "1"
    for name, text in QUERIES.items():
        deadline, result = time.monotonic() + 15, []
        while not result and time.monotonic() < deadline:
            result = query(prometheus, text)
            if name == "error rate":
                break  # without a 5xx series the division is empty, as with Seldon's own executor
            time.sleep(0.5)
        if name != "error rate":
            assert result, name
    share = float(query(prometheus, QUERIES["prediction distribution"])[0]["value"][1])
    assert 0 < share < 1
    p99 = [float(r["value"][1]) for r in query(prometheus, QUERIES["P99 latency"])
           if r["metric"].get("deployment_name") == fraud_deployment.name and r["metric"]["code"] == "200"]
    assert p99 and all(value < 1 for value in p99)


def test_every_metric_has_help_and_type(aerie):
    text = requests.get(aerie.http + "/metrics", timeout=5).text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, text=True, capture_output=True)
    assert checked.returncode in (0, 3), checked.stdout + checked.stderr  # 3: lint advice only
    assert "error" not in checked.stderr.lower(), checked.stderr
