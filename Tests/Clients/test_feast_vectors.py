"""Rows found by the nearness of their vectors: Feast's own SDK asks, numpy knows the answer."""
import datetime

import numpy
import pandas as pd
import pytest
import requests
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, PushSource, RepoConfig, ValueType
from feast.filter_models import ComparisonFilter, CompoundFilter
from feast.types import Array, Float32, Float64, Int64, String

from test_features_redis import Redis

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
# No multiple of the eight numbers that are compared at a time.
LENGTH, ROWS = 13, 300


def frame():
    numbers = numpy.random.default_rng(5)
    vectors = numbers.normal(size=(ROWS, LENGTH)).astype("float32")
    return pd.DataFrame({
        # In no order, so that the order of the keys is another than that of the distances.
        "doc_id": numbers.permutation(ROWS) - 100, "shelf": [f"s{i % 7}" for i in range(ROWS)],
        "event_timestamp": [START + datetime.timedelta(minutes=i) for i in range(ROWS)],
        "vector": list(vectors), "title": [f"title {i}" for i in range(ROWS)], "year": [1900 + i % 120 for i in range(ROWS)],
    })


def view(name, entities, source, metric, dtype=Float32, **vector):
    return FeatureView(
        name=name, entities=entities, ttl=datetime.timedelta(0), source=source,
        schema=[Field(name="vector", dtype=Array(dtype), vector_index=True, vector_search_metric=metric, **vector),
                Field(name="title", dtype=String), Field(name="year", dtype=Int64)])


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def documents(request, start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("vectors")
    redis = Redis(folder / "redis") if request.param == "redis" else None
    server = start_aerie(folder / "data", *(["--online", f"redis://127.0.0.1:{redis.port}"] if redis else []))
    rows = frame()
    rows.to_parquet(folder / "docs.parquet", index=False)
    store = FeatureStore(config=RepoConfig(
        project="library", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/library"}))
    doc = Entity(name="doc", join_keys=["doc_id"], value_type=ValueType.INT64)
    shelf = Entity(name="shelf", join_keys=["shelf"], value_type=ValueType.STRING)
    source = FileSource(name="docs_file", path=str(folder / "docs.parquet"), timestamp_field="event_timestamp")
    views = [
        view("docs", [doc], source, "COSINE", vector_length=LENGTH), view("placed", [shelf, doc], source, "L2"),
        view("free", [doc], PushSource(name="docs_push", batch_source=source), None, dtype=Float64),
        view("dots", [doc], source, "inner_product"), view("streets", [doc], source, "L1"),
    ]
    store.apply([doc, shelf, source, *views])
    store.materialize(START, START + datetime.timedelta(days=2))
    server.store, server.rows = store, rows
    yield server
    if redis:
        redis.kill()


QUERY = numpy.random.default_rng(9).normal(size=LENGTH)


def distances(rows, metric):
    vectors, query = numpy.stack(rows.vector).astype("float64"), QUERY.astype("float32").astype("float64")
    if metric == "L2":
        return numpy.linalg.norm(vectors - query, axis=1)
    if metric == "L1":
        return numpy.abs(vectors - query).sum(axis=1)
    if metric == "inner_product":
        return -(vectors @ query)
    return 1 - vectors @ query / numpy.linalg.norm(vectors, axis=1) / numpy.linalg.norm(query)


def nearest(rows, metric, count):
    rows = rows.assign(distance=distances(rows, metric)).sort_values("distance", kind="stable").head(count)
    return rows.set_index("doc_id")[["title", "year", "distance"]]


def check(got, expected):
    found = pd.DataFrame(got).set_index("doc_id")
    assert sorted(found.index) == sorted(expected.index)
    found = found.loc[expected.index]
    assert list(found.title) == list(expected.title) and list(found.year) == list(expected.year)
    numpy.testing.assert_allclose(found.distance, expected.distance, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name,asked,metric", [
    ("docs", "L2", "cosine"), ("placed", "L2", "L2"), ("free", "L2", "L2"), ("free", "cosine", "cosine"),
    ("free", "inner_product", "inner_product"), ("dots", None, "inner_product"), ("streets", None, "L1")])
def test_the_sdk_finds_the_nearest_rows(documents, name, asked, metric):
    got = documents.store.retrieve_online_documents_v2(
        features=[f"{name}:title", f"{name}:year", f"{name}:vector"], query=QUERY.tolist(), top_k=12,
        distance_metric=asked).to_dict()
    vectors = dict(zip(documents.rows.doc_id, documents.rows.vector))
    for key, vector in zip(got["doc_id"], got.pop("vector")):
        numpy.testing.assert_array_equal(numpy.float32(vector), vectors[key])
    if name == "placed":
        shelves = dict(zip(documents.rows.doc_id, documents.rows.shelf))
        assert got.pop("shelf") == [shelves[key] for key in got["doc_id"]]
    check(got, nearest(documents.rows, metric, 12))


def test_filters_are_met_before_rows_are_counted(documents):
    rows = documents.rows
    for where, some in [
        (ComparisonFilter(type="gte", key="year", value=2000), rows[rows.year >= 2000]),
        (ComparisonFilter(type="in", key="title", value=["title 3", "title 250", "none"]),
         rows[rows.title.isin(["title 3", "title 250"])]),
        (CompoundFilter(type="or", filters=[
            ComparisonFilter(type="lt", key="doc_id", value=-90),
            CompoundFilter(type="and", filters=[ComparisonFilter(type="eq", key="year", value=1950),
                                                ComparisonFilter(type="ne", key="title", value="title 50")])]),
         rows[(rows.doc_id < -90) | (rows.year == 1950) & (rows.title != "title 50")])]:
        got = documents.store.retrieve_online_documents_v2(
            features=["docs:title", "docs:year"], query=QUERY.tolist(), top_k=9, filters=where).to_dict()
        check(got, nearest(some, "cosine", 9))
    nothing = documents.store.retrieve_online_documents_v2(
        features=["docs:title"], query=QUERY.tolist(), top_k=9,
        filters=ComparisonFilter(type="eq", key="year", value=1)).to_dict()
    assert nothing == {"title": [], "distance": []}


def test_the_sdks_first_way_of_asking(documents):
    got = documents.store.retrieve_online_documents(
        query=QUERY.tolist(), top_k=5, features=["docs:vector", "docs:distance"]).to_dict()
    expected = nearest(documents.rows, "cosine", 5)
    numpy.testing.assert_allclose(got["distance"], expected.distance, rtol=1e-5)
    vectors = documents.rows.set_index("doc_id").vector.loc[expected.index]
    numpy.testing.assert_array_equal(numpy.float32(got["vector"]), numpy.stack(vectors))


def ask(documents, status=200, path="search", base=None, **body):
    answer = requests.post(f"{base or documents.http + '/feast/library'}/{path}", json=body, timeout=30)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_over_http_the_nearest_comes_first_on_both_ports(documents):
    expected = nearest(documents.rows, "cosine", 10)
    for base in (None, documents.feast_http + "/feast/library"):
        for path in ("search", "retrieve-online-documents"):
            answer = ask(documents, path=path, base=base, features=["docs:year"], query=QUERY.tolist(), top_k=10)
            columns = dict(zip(answer["metadata"]["feature_names"], answer["results"]))
            assert list(columns) == ["year", "distance", "doc_id"]
            assert columns["doc_id"]["values"] == list(expected.index)
            assert columns["year"]["values"] == list(expected.year)
            times = documents.rows.set_index("doc_id").event_timestamp.loc[expected.index]
            assert [pd.Timestamp(t) for t in columns["distance"]["event_timestamps"]] == list(times)


def test_what_is_written_is_found_at_once(documents):
    found = documents.store.retrieve_online_documents_v2
    row = pd.DataFrame({"doc_id": [5000], "event_timestamp": [START + datetime.timedelta(days=3)],
                        "vector": [QUERY.tolist()], "title": ["the query itself"], "year": [2026]})
    documents.store.push("docs_push", row)
    got = found(features=["free:title"], query=QUERY.tolist(), top_k=1).to_dict()
    assert got == {"doc_id": [5000], "title": ["the query itself"], "distance": [0.0]}
    # A vector of another length is not compared, and one that is null neither. (The SDK itself sends no such.)
    for day, vector in enumerate(([0.5] * 4, None)):
        pushed = {"doc_id": [5000], "event_timestamp": [f"2026-10-0{5 + day}T00:00:00Z"], "vector": [vector], "title": ["x"],
                  "year": [1]}
        answer = requests.post(f"{documents.http}/feast/library/push", timeout=30,
                               json={"push_source_name": "docs_push", "df": pushed})
        assert answer.status_code == 200, answer.text
        assert found(features=["free:title"], query=QUERY.tolist(), top_k=1).to_dict()["doc_id"] != [5000]


@pytest.mark.parametrize("body,words", [
    ({"query": [1.0] * 3}, f"has 3 numbers; the vectors of 'docs' have {LENGTH}"),
    ({"query": None}, "query: must be a vector"), ({"query": [0.0, "x"]}, "query[1]"), ({"query": []}, "0 numbers"),
    ({"top_k": 0}, "1 to 1000"), ({"top_k": 1001}, "1 to 1000"), ({"top_k": "x"}, "top_k"),
    ({"distance_metric": "hamming"}, "'hamming' is no metric"), ({"query_string": ""}, "has 0 words"),
    ({"features": ["docs:title", "dots:year"]}, "single feature view"), ({"features": []}, "No features"),
    ({"filters": {"type": "like", "key": "title", "value": "x"}}, "'like' is no filter"),
    ({"filters": {"type": "eq", "key": "nope", "value": 1}}, "'nope' is neither a feature nor a key"),
    ({"filters": {"type": "eq", "key": "year", "value": "x"}}, "'year'"),
    ({"filters": {"type": "in", "key": "year", "value": 3}}, "must be a list"),
    ({"filters": {"type": "eq", "key": "vector", "value": 3}}, "not compared"),
])
def test_wrong_searches_are_the_askers_fault(documents, body, words):
    assert words in ask(documents, 400, **{"features": ["docs:title"], "query": QUERY.tolist(), "top_k": 3, **body})


def test_a_view_that_is_not_there(documents):
    assert "FeatureViewNotFoundException" in ask(documents, 404, features=["nope:x"], query=QUERY.tolist())
