"""OpenAI's vector stores: OpenAI's own client asks, Feast's own server over the same rows knows the answer, and a small
model on a port of its own makes the vectors."""
import datetime
import hashlib
import http.server
import json
import re
import threading

import numpy
import openai
import pandas as pd
import pytest
import requests
from fastapi.testclient import TestClient
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.feature_server import get_app
from feast.types import Array, Float32, Int64, String

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
LENGTH, KEY = 24, "sk-of-the-tests"
TITLES = ["red apple pie", "green apple", "a red car", "the old green car", "pie of plums", "plum tree", "apple tree, red",
          "car repair", "winter tyres for the car", "plums"]


def embed(text):
    """The sum of the words' vectors, each made of its hash."""
    words = re.findall(r"\w+", text.lower()) or [""]
    seeds = [int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big") for word in words]
    total = sum(numpy.random.default_rng(seed).normal(size=LENGTH) for seed in seeds)
    return (total / numpy.linalg.norm(total)).astype("float32").tolist()


class Model(http.server.ThreadingHTTPServer):
    """OpenAI's embeddings API. `faults` are what it does wrong with the next requests."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.url, self.faults, self.seen, self.ended = f"http://127.0.0.1:{self.server_port}/v1", [], [], threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self):
        self.ended.set()
        self.shutdown()
        self.server_close()


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append(body)
        fault = self.server.faults.pop(0) if self.server.faults else None
        data = [{"object": "embedding", "index": i, "embedding": embed(t)} for i, t in enumerate(body["input"])]
        answer, status = {"object": "list", "data": data[::-1], "model": body["model"]}, 200
        if self.path != "/v1/embeddings" or body["model"] != "words-24":
            answer, status = {"error": {"message": "no such model"}}, 404
        elif self.headers["Authorization"] != f"Bearer {KEY}":
            answer, status = {"error": {"message": "who are you?"}}, 401
        elif fault == "silent":
            self.server.ended.wait(30)
        elif isinstance(fault, int):
            answer, status = {"error": {"message": f"a fault: {fault}"}}, fault
        elif fault == "shorter":
            data[0]["embedding"].pop()
        elif fault == "empty":
            answer = {"data": []}
        text = b"<html>" if fault == "html" else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def model():
    model = Model()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def shelf(model, start_aerie, tmp_path_factory):
    """A server with views of every metric, in one namespace, and Feast's own server over the same."""
    folder = tmp_path_factory.mktemp("stores")
    (folder / "key").write_text(KEY + "\n")
    (folder / "aerie.yaml").write_text(f"embedding-url: {model.url}/\nembedding-key: file:{folder}/key\n")
    server = start_aerie(
        folder / "data", "--config", str(folder / "aerie.yaml"), "--embedding-timeout", "2s",
        environment={"AERIE_EMBEDDING_MODEL": "words-24"})
    rows = pd.DataFrame({
        "doc_id": [30, 4, 11, 25, 7, 18, 2, 40, 9, 13], "lang": ["en", "de"] * 5, "vector": [embed(t) for t in TITLES],
        "title": TITLES, "note": [f"note {i}" for i in range(10)], "year": range(2000, 2010),
        "event_timestamp": [START + datetime.timedelta(minutes=i) for i in range(10)]})
    rows.to_parquet(folder / "docs.parquet", index=False)
    store = FeatureStore(config=RepoConfig(
        project="shelf", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/shelf"}), embedding_provider=Words())
    doc = Entity(name="doc", join_keys=["doc_id"], value_type=ValueType.INT64)
    lang = Entity(name="lang", join_keys=["lang"], value_type=ValueType.STRING)
    source = FileSource(name="docs_file", path=str(folder / "docs.parquet"), timestamp_field="event_timestamp")
    store.apply([doc, lang, source] + [
        FeatureView(name=name, entities=entities, ttl=datetime.timedelta(0), source=source, schema=[
            Field(name="vector", dtype=Array(Float32), vector_index=index, vector_length=length, vector_search_metric=metric),
            Field(name="title", dtype=String), Field(name="note", dtype=String), Field(name="year", dtype=Int64)])
        for name, entities, index, length, metric in [
            ("cosines", [doc], True, LENGTH, "cosine"), ("euclid", [lang, doc], True, LENGTH, "L2"),
            ("dots", [doc], True, LENGTH, "inner_product"), ("open", [doc], True, 0, None), ("long", [doc], True, 99, "L2"),
            ("plain", [doc], False, 0, None)]])
    store.materialize(START, START + datetime.timedelta(days=1))
    server.rows, server.feast = rows, TestClient(get_app(store))
    server.clients = [openai.OpenAI(api_key="any", base_url=f"{base}/feast/shelf/v1", max_retries=0)
                      for base in (server.http, server.feast_http)]
    yield server


class Words:
    """The same model in Feast's own process."""

    def embed(self, texts):
        return [embed(text) for text in texts]

    async def aembed(self, texts):
        return self.embed(texts)


def identifier(name):
    return "vs_" + hashlib.sha256(f"shelf:{name}".encode()).hexdigest()[:24]


def test_the_client_lists_and_reads_the_stores(shelf):
    expected = shelf.feast.get("/v1/vector_stores").json()["data"]
    for client in shelf.clients:
        stores = list(client.vector_stores.list())
        assert [store.name for store in stores] == ["cosines", "dots", "euclid", "long", "open"]
        for store, feast in zip(stores, sorted(expected, key=lambda store: store["name"])):
            assert abs(store.created_at - feast["created_at"]) <= 2
            assert {**feast, "created_at": 0} == {
                "id": store.id, "object": store.object, "name": store.name, "status": store.status, "created_at": 0}
            assert store.id == identifier(store.name)
            assert client.vector_stores.retrieve(store.id) == store
        with pytest.raises(openai.NotFoundError) as caught:
            client.vector_stores.retrieve("vs_0")
        feast = shelf.feast.get("/v1/vector_stores/vs_0")
        assert (caught.value.status_code, {"error": caught.value.body}) == (feast.status_code, feast.json())


QUESTIONS = [
    ("cosines", {"query": "red apple"}), ("euclid", {"query": "green car", "max_num_results": 3}),
    ("dots", {"query": ["plums", "tree"]}), ("open", {"query": "Winter!", "max_num_results": None}),
    ("cosines", {"query": "pie", "metadata": {"features_to_retrieve": ["year", "note"]}}),
    ("cosines", {"query": "car", "filters": {"type": "or", "filters": [
        {"type": "gte", "key": "year", "value": 2008}, {"type": "in", "key": "title", "value": ["green apple"]}]}}),
    ("euclid", {"query": "tree", "rewrite_query": False, "ranking_options": {"ranker": None}}),
]


@pytest.mark.parametrize("name,body", QUESTIONS, ids=range(len(QUESTIONS)))
def test_a_search_answers_as_feasts_server(shelf, name, body):
    path = f"/v1/vector_stores/{identifier(name)}/search"
    expected = shelf.feast.post(path, json=body).json()
    for base in (shelf.http, shelf.feast_http):
        answer = requests.post(f"{base}/feast/shelf{path}", json=body, timeout=30).json()
        # The best comes first here; Feast gives the rows as its remote store orders them, by key.
        scores = [row["score"] for row in answer["data"]]
        assert scores == sorted(scores, reverse=True) and scores
        assert scores == pytest.approx([row["score"] for row in sorted(expected["data"], key=lambda row: -row["score"])])
        got, feast = ({row["file_id"]: {**row, "score": 0} for row in page["data"]} for page in (answer, expected))
        assert got == feast
        assert {**answer, "data": 0} == {**expected, "data": 0}


def test_the_client_finds_what_the_model_says_is_near(shelf):
    query = numpy.array(embed("a red apple"))
    order = numpy.argsort(-numpy.stack(shelf.rows.vector) @ query)
    for client in shelf.clients:
        page = client.vector_stores.search(identifier("cosines"), query="a red apple", max_num_results=4)
        assert [row.attributes["title"] for row in page] == list(shelf.rows.title.iloc[order[:4]])
        assert [row.file_id for row in page] == [f"{identifier('cosines')}_{key}" for key in shelf.rows.doc_id.iloc[order[:4]]]
        assert page.data[0].content[0].text == page.data[0].attributes["title"]
        filters = {"type": "and", "filters": [{"type": "lt", "key": "year", "value": 2004}, {"type": "ne", "key": "doc_id",
                                                                                           "value": 30}]}
        page = client.vector_stores.search(identifier("cosines"), query="apple", filters=filters)
        assert {row.attributes["year"] for row in page} == {2001, 2002, 2003}


def search(shelf, name="cosines", status=422, **body):
    path = f"{shelf.http}/feast/shelf/v1/vector_stores/{identifier(name)}/search"
    answer = requests.post(path, json={"query": "car", **body}, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


@pytest.mark.parametrize("body,words", [
    ({"query": None}, "query: must be a text"), ({"query": []}, "query: must be a text"), ({"query": [1]}, "query[0]"),
    ({"query": ""}, "0 bytes"), ({"query": "x" * 70_000}, "70000 bytes"), ({"max_num_results": 0}, "1 to 1000"),
    ({"max_num_results": "x"}, "max_num_results"), ({"rewrite_query": True}, "rewrite_query"),
    ({"ranking_options": {"ranker": "auto", "score_threshold": 0.5}}, "score_threshold, ranking_options.ranker"),
    ({"filters": {"type": "eq", "key": "nope", "value": 1}}, "'nope' is neither"),
    ({"filters": {"type": "like", "key": "title", "value": 1}}, "'like' is no filter"),
    ({"metadata": {"features_to_retrieve": ["nope"]}}, "nope"),
])
def test_wrong_searches_are_the_askers_fault(shelf, body, words):
    error = search(shelf, **body)
    assert words in error["message"] and error["type"] == "invalid_request_error"


def test_stores_that_are_none(shelf):
    for name in ("plain", "nope"):
        assert search(shelf, name, 404) == {"message": f"No vector store found with id '{identifier(name)}'",
                                            "type": "not_found_error"}
    assert requests.post(f"{shelf.feast_http}/feast/shelf/v1/vector_stores", timeout=30).status_code == 405


def test_a_model_that_fails_is_asked_once_more(shelf, model):
    for fault in (503, 429):
        model.seen.clear()
        model.faults[:] = [fault]
        assert len(search(shelf, status=200)["data"]) == 10
        assert [body["input"] for body in model.seen] == [["car"], ["car"]]
        assert model.seen[0]["model"] == "words-24" and "dimensions" not in model.seen[0]
    model.faults[:] = [500, 502]
    error = search(shelf, status=503)
    assert "/v1/embeddings answered 502: a fault: 502" in error["message"] and error["type"] == "server_error"
    model.seen.clear()
    model.faults[:] = ["silent", "silent"]
    assert "did not answer within 2" in search(shelf, status=504)["message"] and len(model.seen) == 2


@pytest.mark.parametrize("fault,words", [
    (401, "--embedding-key"), (404, "--embedding-model"), (400, "a fault: 400"), ("html", "--embedding-url"),
    ("empty", "no list of 1 vectors"), ("shorter", f"have {LENGTH - 1} numbers and those of feature view 'cosines' have")])
def test_a_model_that_refuses_is_not_asked_again(shelf, model, fault, words):
    model.seen.clear()
    model.faults[:] = [fault]
    assert words in search(shelf)["message"] and len(model.seen) == 1
    assert KEY not in "".join(shelf.errors)


def test_a_view_of_longer_vectors_says_what_to_set(shelf):
    assert "'long' have 99: set --embedding-model" in search(shelf, "long")["message"]


def test_without_a_model_the_settings_are_named(aerie):
    aerie.cli("apply", "-f", "-", input="""
apiVersion: aerie.dev/v1
kind: FeatureView
metadata: {name: unembedded, namespace: vectorless}
spec: {entities: [], features: [{name: v, dtype: FLOAT_LIST, vectorIndex: true}], source: {type: push}}
""")
    client = openai.OpenAI(api_key="any", base_url=f"{aerie.http}/feast/vectorless/v1", max_retries=0)
    store, = client.vector_stores.list()
    with pytest.raises(openai.UnprocessableEntityError, match="--embedding-url and --embedding-model"):
        client.vector_stores.search(store.id, query="x")
