"""Resources, pipeline runs and webhooks on a real PostgreSQL server: kept over a crash, shared by two servers."""
import json
import time
import urllib.error

import pytest
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent

from conftest import wait_until_available
from test_pipelines import approval, start, run_of, states, transactions, wait_for, wait_for_end
from test_postgres import postgres  # noqa: F401
from test_seldon import apply, node, post
from test_webhooks import SECRET, Receiver, check_signature

ENTITY = """
apiVersion: aerie.dev/v1
kind: Entity
metadata: {{name: {name}, labels: {{team: risk}}}}
spec: {{joinKey: {name}_id, valueType: INT64}}
"""


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.stop()


def test_everything_of_the_platform_is_in_the_database(start_aerie, postgres, receiver, tmp_path):  # noqa: F811
    server = start_aerie(tmp_path / "data", "--metadata", postgres.url)
    client = MlflowClient(server.http, server.http)
    client.create_webhook("hook", receiver.url, [WebhookEvent.from_str("registered_model.created")], secret=SECRET)
    server.cli("apply", "-f", "-", input=ENTITY.format(name="customer"))
    server.cli("apply", "-f", "-", input=approval("judged", transactions(tmp_path / "data.csv")))
    run = start(server, "judged")
    wait_for(server, run, lambda seen: states(seen)["judge"] == "waiting")

    # The receiver is away, the server dies, and the database with it.
    receiver.answers = [503] * 2
    client.create_registered_model("scorer")
    receiver.wait(1)
    server.kill()
    postgres.stop()
    postgres.start()
    server = start_aerie(tmp_path / "data", "--metadata", postgres.url)
    assert not (tmp_path / "data" / "metadata.db").exists()
    delivered = receiver.wait(3)[-1]
    assert json.loads(delivered["body"])["data"]["name"] == "scorer"
    check_signature(delivered)
    assert json.loads(server.cli("get", "Entity", "customer", "-o", "json").stdout)["spec"]["joinKey"] == "customer_id"
    server.cli("approve", run, "--comment", "fine")
    assert wait_for_end(server, run)["state"] == "succeeded"
    server.cli("delete", "Entity", "customer")


def test_two_servers_share_resources_and_see_each_others_runs(start_aerie, postgres, tmp_path):  # noqa: F811
    one = start_aerie(tmp_path / "one", "--metadata", postgres.url)
    two = start_aerie(tmp_path / "two", "--metadata", postgres.url)
    one.cli("apply", "-f", "-", input=ENTITY.format(name="shared"))
    deadline = time.monotonic() + 20
    while "Declared" not in two.cli("describe", "Entity", "shared").stdout:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    one.cli("apply", "-f", "-", input=approval("both", transactions(tmp_path / "data.csv")))
    run = start(one, "both")
    wait_for(two, run, lambda seen: states(seen)["judge"] == "waiting")
    # The files are with the first: it alone cancels and goes on, and after a restart it alone does so.
    refused = two.cli("pipeline", "cancel", run, check=False)
    assert refused.returncode != 0 and "another server" in refused.stderr
    two.stop()
    two = start_aerie(tmp_path / "two", "--metadata", postgres.url)
    two.cli("approve", run)
    assert wait_for_end(one, run)["state"] == "succeeded"
    assert run_of(two, run)["state"] == "succeeded"


def test_two_servers_learn_together(start_aerie, postgres, tmp_path):  # noqa: F811
    """A greedy router on two servers: what the one is told decides what the other does, also after both have crashed."""
    servers = [start_aerie(tmp_path / "one", "--metadata", postgres.url)]
    children = [{"name": f"simple-{arm}", "implementation": "SIMPLE_MODEL"} for arm in "ab"]
    apply(servers[0], "together", node("router", "ROUTER", "epsilon-greedy", children, epsilon=0.01))
    servers.append(start_aerie(tmp_path / "two", "--metadata", postgres.url))

    def route(server):
        return post(server, "/seldon/default/together/api/v1.0/predictions", {"data": {"ndarray": [[1]]}})["meta"]

    def reward(server, meta, value):
        body = {"response": {"meta": meta}, "reward": value}
        return post(server, "/seldon/default/together/api/v1.0/feedback", body)

    def until_all(server, arm):
        deadline = time.monotonic() + 30
        while [route(server)["routing"]["router"] for _ in range(20)] != [arm] * 20:
            assert time.monotonic() < deadline

    deadline = time.monotonic() + 30
    while True:
        try:
            asked = route(servers[1])
            break
        except urllib.error.HTTPError as error:  # The other server has not heard of the deployment yet.
            assert time.monotonic() < deadline, "".join(servers[1].errors)
            time.sleep(0.05)
    arm = asked["routing"]["router"]
    reward(servers[0], asked, 0.9)
    for server in servers:
        until_all(server, arm)
    # By its puid, at the server that did not choose; the second time it is told it counts no more.
    for number in range(12):
        reward(servers[0], {"puid": f"late-{number}", "routing": {"router": arm}}, 0)
        reward(servers[1], {"puid": f"late-{number}", "routing": {"router": arm}}, 1)
    for server in servers:
        until_all(server, 1 - arm)
    for server in servers:
        server.kill()
    again = start_aerie(tmp_path / "three", "--metadata", postgres.url)
    wait_until_available(again, "together")
    until_all(again, 1 - arm)
    assert not list(tmp_path.glob("*/*.db"))
