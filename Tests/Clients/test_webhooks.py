"""MLflow's own client makes webhooks, and a real receiver checks what comes: content, signature, retries, crashes."""
import base64
import hashlib
import hmac
import http.server
import json
import socket
import sqlite3
import threading
import time

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities.webhook import WebhookEvent, WebhookStatus
from mlflow.exceptions import MlflowException

SECRET = "s3cret-never-shown"


class Receiver:
    """Listens on a port of its own, keeps every request and answers as it is told."""

    def __init__(self, port: int = 0):
        self.seen: list[dict] = []
        self.changed = threading.Condition()
        self.answers: list[int] = []
        self.headers: dict[str, str] = {}
        self.gate = threading.Event()
        self.gate.set()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with outer.changed:
                    outer.seen.append({"path": self.path, "headers": dict(self.headers.items()), "body": body})
                    status = outer.answers.pop(0) if outer.answers else 200
                    outer.changed.notify_all()
                outer.gate.wait(60)
                try:
                    self.send_response(status)
                    for name, value in outer.headers.items():
                        self.send_header(name, value)
                    self.send_header("Content-Length", "4")
                    self.end_headers()
                    self.wfile.write(b"seen")
                except OSError:
                    pass

            do_GET = do_POST

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def wait(self, count: int, seconds: float = 60, where=lambda request: True) -> list[dict]:
        """The requests so far, once there are `count` of them."""
        def fitting():
            return [request for request in self.seen if where(request)]
        with self.changed:
            assert self.changed.wait_for(lambda: len(fitting()) >= count, seconds), f"{len(fitting())} of {count} came"
            return fitting()

    def stop(self):
        self.gate.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver():
    one = Receiver()
    yield one
    one.stop()


@pytest.fixture
def client(aerie):
    client = MlflowClient(aerie.http, aerie.http)
    yield client
    for webhook in client.list_webhooks():
        client.delete_webhook(webhook.webhook_id)


def check_signature(request, secret=SECRET):
    """As MLflow documents it: HMAC-SHA256 over id, timestamp and body, with points between them."""
    headers = request["headers"]
    signed = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{request['body'].decode()}"
    version, signature = headers["X-MLflow-Signature"].split(",", 1)
    expected = base64.b64encode(hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()).decode()
    assert version == "v1"
    assert hmac.compare_digest(signature, expected)
    assert abs(int(headers["X-MLflow-Timestamp"]) - time.time()) < 300


def event(request):
    body = json.loads(request["body"])
    return f"{body['entity']}.{body['action']}", body["data"]


def make_version(client, name):
    run = client.create_run("0")
    return client.create_model_version(name, f"runs:/{run.info.run_id}/model", run.info.run_id)


def deliveries(server, webhook):
    answer = requests.get(f"{server.http}/api/2.0/mlflow/webhooks/{webhook}/deliveries", timeout=10)
    answer.raise_for_status()
    return answer.json()["deliveries"]


def wait_for_delivery(server, webhook, fits, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = deliveries(server, webhook)
        if found and all(fits(one) for one in found):
            return found
        time.sleep(0.02)
    raise AssertionError(found)


def test_the_client_makes_reads_changes_and_deletes_webhooks(aerie, client):
    made = client.create_webhook(
        name="first", url="https://example.com/hook", events=["model_version.created", "prompt_tag.set"],
        description="tells us", secret=SECRET)
    assert made.status == WebhookStatus.ACTIVE and made.secret is None
    read = client.get_webhook(made.webhook_id)
    assert {str(e) for e in read.events} == {"model_version.created", "prompt_tag.set"}
    assert (read.name, read.url, read.description) == ("first", "https://example.com/hook", "tells us")
    changed = client.update_webhook(made.webhook_id, status=WebhookStatus.DISABLED, events=["prompt.created"])
    assert changed.status == WebhookStatus.DISABLED and [str(e) for e in changed.events] == ["prompt.created"]
    assert changed.name == "first"
    others = [client.create_webhook(name=f"n{i}", url="http://localhost:1/", events=["prompt.created"])
              for i in range(4)]
    pages, token = [], None
    while True:
        page = client.list_webhooks(max_results=2, page_token=token)
        pages += [w.webhook_id for w in page]
        token = page.token
        if not token:
            break
    assert sorted(pages) == sorted([made.webhook_id] + [w.webhook_id for w in others])
    client.delete_webhook(made.webhook_id)
    with pytest.raises(MlflowException) as gone:
        client.get_webhook(made.webhook_id)
    assert gone.value.error_code == "RESOURCE_DOES_NOT_EXIST"


def test_secrets_are_neither_given_back_nor_kept_readable(aerie, client):
    made = client.create_webhook(name="quiet", url="http://localhost:1/", events=["prompt.created"], secret=SECRET)
    answer = requests.get(f"{aerie.http}/api/2.0/mlflow/webhooks/{made.webhook_id}", timeout=10)
    assert SECRET not in answer.text and answer.json()["webhook"]["has_secret"] is True
    for path in aerie.data_dir.glob("metadata.db*"):
        assert SECRET.encode() not in path.read_bytes(), path
    assert (aerie.data_dir / "webhook.key").stat().st_mode & 0o777 == 0o600
    assert SECRET not in "".join(aerie.errors)


@pytest.mark.parametrize("change, field", [
    ({"url": "ftp://example.com/"}, "URL"), ({"url": "file:///etc/passwd"}, "URL"), ({"url": "http:///x"}, "URL"),
    ({"url": "http://example.com/\r\nX: y"}, "URL"), ({"url": "http://a b/"}, "URL"), ({"url": "javascript:1"}, "URL"),
    ({"url": "http://user:pw@example.com/"}, "URL"), ({"url": "http://169.254.169.254/latest"}, "URL"),
    ({"url": "http://example.com:99999/"}, "URL"), ({"url": "http://exämple.com/"}, "URL"),
    ({"name": "Not Plain"}, "name"), ({"name": "x" * 64}, "name"), ({"name": "-x"}, "name"), ({"events": []}, "events"),
    ({"secret": "x" * 1001}, "secret"),
])
def test_what_no_webhook_can_be_is_refused(aerie, change, field):
    body = {"name": "fine", "url": "http://localhost:1/",
            "events": [{"entity": "PROMPT", "action": "CREATED"}], **change}
    answer = requests.post(f"{aerie.http}/api/2.0/mlflow/webhooks", json=body, timeout=10)
    assert answer.status_code == 400 and answer.json()["error_code"] == "INVALID_PARAMETER_VALUE", answer.text
    assert field in answer.json()["message"]


def test_every_change_of_the_registry_arrives_signed(aerie, client, receiver):
    names = [
        "registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
        "model_version_alias.created", "model_version_alias.deleted"]
    client.create_webhook(name="all", url=receiver.url, events=names, secret=SECRET)
    client.create_registered_model("hooked", tags={"team": "fraud"}, description="about")
    version = make_version(client, "hooked")
    client.set_model_version_tag("hooked", "1", "checked", "yes")
    client.delete_model_version_tag("hooked", "1", "checked")
    client.set_registered_model_alias("hooked", "champion", "1")
    client.delete_registered_model_alias("hooked", "champion")
    came = dict(event(request) for request in receiver.wait(6))
    for request in receiver.seen:
        check_signature(request)
    assert came == {
        "registered_model.created": {"name": "hooked", "tags": {"team": "fraud"}, "description": "about"},
        "model_version.created": {
            "name": "hooked", "version": "1", "source": version.source, "run_id": version.run_id, "tags": {},
            "description": None},
        "model_version_tag.set": {"name": "hooked", "version": "1", "key": "checked", "value": "yes"},
        "model_version_tag.deleted": {"name": "hooked", "version": "1", "key": "checked"},
        "model_version_alias.created": {"name": "hooked", "alias": "champion", "version": "1"},
        "model_version_alias.deleted": {"name": "hooked", "alias": "champion"},
    }


def test_prompts_have_events_of_their_own(aerie, client, receiver):
    client.create_webhook(
        name="prompts", url=receiver.url, events=["prompt.created", "prompt_tag.set", "registered_model.created"])
    tags = [{"key": "mlflow.prompt.is_prompt", "value": "true"}, {"key": "tone", "value": "warm"}]
    requests.post(f"{aerie.http}/api/2.0/mlflow/registered-models/create", json={"name": "greeting", "tags": tags},
                  timeout=10).raise_for_status()
    client.set_prompt_tag("greeting", "lang", "en")
    came = [event(request) for request in receiver.wait(2)]
    assert ("prompt.created", {"name": "greeting", "tags": {"tone": "warm"}, "description": ""}) in came
    assert ("prompt_tag.set", {"name": "greeting", "key": "lang", "value": "en"}) in came
    assert "X-MLflow-Signature" not in receiver.seen[0]["headers"]


def test_a_change_of_stage_tells_who_moved_and_who_made_room(aerie, client, receiver):
    body = {"name": "stages", "url": receiver.url, "events": [{"entity": "PROMPT", "action": "CREATED"}],
            "aerie_events": ["model_version_stage.transitioned"]}
    made = requests.post(f"{aerie.http}/api/2.0/mlflow/webhooks", json=body, timeout=10).json()["webhook"]
    assert made["aerie_events"] == ["model_version_stage.transitioned"]
    assert [str(e) for e in client.get_webhook(made["webhook_id"]).events] == ["prompt.created"]
    client.create_registered_model("staged")
    make_version(client, "staged")
    make_version(client, "staged")
    client.transition_model_version_stage("staged", "1", "Production")
    client.transition_model_version_stage("staged", "2", "Production", archive_existing_versions=True)
    moves = [event(request)[1] for request in receiver.wait(3)]
    assert sorted((m["version"], m["from_stage"], m["to_stage"]) for m in moves) == [
        ("1", "None", "Production"), ("1", "Production", "Archived"), ("2", "None", "Production")]


def test_a_test_sends_an_example_and_tells_the_answer(aerie, client, receiver):
    made = client.create_webhook(
        name="tested", url=receiver.url, events=["registered_model.created", "prompt.created"], secret=SECRET,
        status=WebhookStatus.DISABLED)
    result = client.test_webhook(made.webhook_id)
    assert (result.success, result.response_status, result.response_body) == (True, 200, "seen")
    check_signature(receiver.seen[0])
    assert event(receiver.seen[0])[0] == "registered_model.created"
    receiver.answers = [503]
    result = client.test_webhook(made.webhook_id, WebhookEvent.from_str("prompt.created"))
    assert (result.success, result.response_status) == (False, 503)
    client.update_webhook(made.webhook_id, url="http://127.0.0.1:1/")
    result = client.test_webhook(made.webhook_id)
    assert not result.success and "does not accept" in result.error_message


def test_errors_are_tried_again_and_refusals_are_not(aerie, client, receiver):
    made = client.create_webhook(
        name="unlucky", url=receiver.url, events=["registered_model.created"], secret=SECRET)
    receiver.answers = [500, 503]
    client.create_registered_model("retried")
    came = receiver.wait(3)
    assert len({request["headers"]["X-MLflow-Delivery-Id"] for request in came}) == 1
    for request in came:
        check_signature(request)
    done = wait_for_delivery(aerie, made.webhook_id, lambda one: one["state"] == "delivered")
    assert [one["attempts"] for one in done] == [3]
    receiver.answers = [404]
    client.create_registered_model("refused")
    failed = wait_for_delivery(aerie, made.webhook_id, lambda one: one["state"] != "pending")[0]
    assert (failed["state"], failed["attempts"], failed["response_status"]) == ("failed", 1, 404)


def test_a_receiver_that_names_a_time_is_left_alone_until_then(aerie, client, receiver):
    made = client.create_webhook(name="busy", url=receiver.url, events=["registered_model.created"])
    receiver.answers, receiver.headers = [429], {"Retry-After": "90"}
    client.create_registered_model("left_alone")
    waiting = wait_for_delivery(aerie, made.webhook_id, lambda one: one["attempts"] == 1)[0]
    assert (waiting["state"], waiting["response_status"]) == ("pending", 429)
    # The schedule's own first pause is a second.
    assert waiting["next_attempt_timestamp"] - waiting["last_attempt_timestamp"] >= 85_000


def test_redirects_are_not_followed(aerie, client, receiver):
    elsewhere = Receiver()
    made = client.create_webhook(name="turned", url=receiver.url, events=["registered_model.created"])
    receiver.answers, receiver.headers = [307], {"Location": elsewhere.url}
    client.create_registered_model("redirected")
    done = wait_for_delivery(aerie, made.webhook_id, lambda one: one["state"] != "pending")
    assert (done[0]["state"], done[0]["response_status"]) == ("failed", 307)
    assert elsewhere.seen == []
    elsewhere.stop()


def test_a_slow_receiver_does_not_hold_up_the_others(aerie, client, receiver):
    slow = Receiver()
    slow.gate.clear()
    client.create_webhook(name="slow", url=slow.url, events=["registered_model.created"])
    client.create_webhook(name="quick", url=receiver.url, events=["registered_model.created"])
    for number in range(40):
        client.create_registered_model(f"many-{number}")
    came = receiver.wait(40)
    assert len({event(request)[1]["name"] for request in came}) == 40
    assert len(slow.seen) <= 8
    slow.gate.set()
    slow.wait(40)
    slow.stop()


def test_a_disabled_webhook_is_told_nothing(aerie, client, receiver):
    made = client.create_webhook(
        name="off", url=receiver.url, events=["registered_model.created"], status=WebhookStatus.DISABLED)
    client.create_registered_model("unheard")
    client.update_webhook(made.webhook_id, status=WebhookStatus.ACTIVE)
    client.create_registered_model("heard")
    assert [event(request)[1]["name"] for request in receiver.wait(1)] == ["heard"]


def test_a_receiver_that_comes_up_later_gets_what_it_missed(aerie, client):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    made = client.create_webhook(
        name="later", url=f"http://127.0.0.1:{port}/", events=["registered_model.created"], secret=SECRET)
    client.create_registered_model("unhurried")
    waiting = wait_for_delivery(aerie, made.webhook_id, lambda one: one["attempts"] >= 1)
    assert waiting[0]["state"] == "pending" and "does not accept" in waiting[0]["problem"]
    late = Receiver(port)
    check_signature(late.wait(1)[0])
    late.stop()


def test_what_was_acknowledged_arrives_after_a_kill(start_aerie, tmp_path, receiver):
    server = start_aerie(tmp_path / "data")
    client = MlflowClient(server.http, server.http)
    client.create_webhook(name="kept", url=receiver.url, events=["registered_model.created"], secret=SECRET)
    receiver.gate.clear()
    names = [f"survivor-{number}" for number in range(20)]
    for name in names:
        client.create_registered_model(name)
    receiver.wait(1)
    server.kill()
    with sqlite3.connect(tmp_path / "data" / "metadata.db") as database:
        rows = database.execute("SELECT COUNT(*) FROM webhook_deliveries WHERE state = 'pending'").fetchone()
    assert rows == (20,)
    with receiver.changed:
        receiver.seen.clear()
    receiver.gate.set()
    server = start_aerie(tmp_path / "data")
    # Those that were under way come again when their time is up.
    receiver.wait(20, 90)
    assert sorted({event(request)[1]["name"] for request in receiver.seen}) == sorted(names)
    for request in receiver.seen:
        check_signature(request)
    assert server.stop() == 0
