"""Rows found by their words: SQLite's own full text search over the same rows knows the ranks, and Feast's SDK asks."""
import datetime
import itertools
import random
import sqlite3

import numpy
import pandas as pd
import pytest
import requests
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.filter_models import ComparisonFilter
from feast.types import Array, Float32, Int64, String

from test_features_redis import Redis

UTC = datetime.timezone.utc
START = datetime.datetime(2026, 10, 1, tzinfo=UTC)
ROWS, LENGTH = 250, 5
ROOTS = ["connect", "relat", "hop", "hopp", "fall", "fil", "happ", "sens", "agre", "oper", "troubl", "siz", "vietnam", "care",
         "y", "say", "controll", "geolog", "probab", "adjust", "ion", "sky", "bl", "tree", "Ärg", "café", "мир"]
ENDINGS = ["", "s", "es", "ies", "ed", "eed", "ing", "y", "ion", "ions", "ation", "ational", "ator", "izer", "ization", "er", "al",
           "ally", "ibility", "ibly", "ness", "fulness", "ful", "ive", "iveness", "ousness", "ously", "ment", "ement", "ate",
           "icate", "icity", "ical", "ance", "ence", "ent", "ism", "logy", "ll", "e", "ee", "ss", "sses", "2"]
WORDS = [root + ending for root, ending in itertools.product(ROOTS, ENDINGS)]


def frame():
    some = random.Random(3)
    numbers = numpy.random.default_rng(3)
    texts = [[some.choice([" ", ", ", "-", "! ", " — "]).join(some.choices(WORDS, k=some.randrange(0, most))) for _ in range(ROWS)]
             for most in (9, 40)]
    return pd.DataFrame({
        "doc_id": numbers.permutation(ROWS) - 100, "event_timestamp": START, "title": texts[0],
        "note": [None if i % 9 == 0 else text.upper() if i % 5 == 0 else text for i, text in enumerate(texts[1])],
        "vector": list(numbers.normal(size=(ROWS, LENGTH)).astype("float32")), "year": [1990 + i % 40 for i in range(ROWS)]})


@pytest.fixture(scope="module", params=["lmdb", "redis"])
def library(request, start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    redis = Redis(folder / "redis") if request.param == "redis" else None
    server = start_aerie(folder / "data", *(["--online", f"redis://127.0.0.1:{redis.port}"] if redis else []))
    server.rows = frame()
    server.rows.to_parquet(folder / "docs.parquet", index=False)
    server.store = FeatureStore(config=RepoConfig(
        project="words", provider="local", entity_key_serialization_version=3,
        registry={"registry_type": "remote", "path": server.grpc},
        online_store={"type": "remote", "path": f"{server.http}/feast/words"}))
    doc = Entity(name="doc", join_keys=["doc_id"], value_type=ValueType.INT64)
    source = FileSource(name="docs_file", path=str(folder / "docs.parquet"), timestamp_field="event_timestamp")
    vector = Field(name="vector", dtype=Array(Float32), vector_index=True, vector_search_metric="L2")
    texts = [Field(name="title", dtype=String), Field(name="note", dtype=String)]
    server.store.apply([doc, source] + [
        FeatureView(name=name, entities=[doc], ttl=datetime.timedelta(0), source=source, schema=schema)
        for name, schema in [("docs", [vector, *texts, Field(name="year", dtype=Int64)]), ("texts", texts),
                             ("vectors", [vector])]])
    server.store.materialize(START - datetime.timedelta(days=1), START + datetime.timedelta(days=1))
    yield server
    if redis:
        redis.kill()


@pytest.fixture(scope="module")
def fts():
    """The ranks of the rows that FTS5 finds: greater is better here, less is better there."""
    base = sqlite3.connect(":memory:")
    base.execute("CREATE VIRTUAL TABLE docs USING fts5(title, note, tokenize='porter unicode61')")
    base.executemany("INSERT INTO docs(rowid, title, note) VALUES (?, ?, ?)",
                     [(key + 1000, title, note) for key, title, note in frame()[["doc_id", "title", "note"]].itertuples(index=False)])
    return lambda question: {key - 1000: -rank for key, rank in base.execute(
        "SELECT rowid, bm25(docs) FROM docs WHERE docs MATCH ?", (question,))}


def ask(library, status=200, base=None, **body):
    body = {"features": ["docs:title"], "top_k": 1000, **body}
    answer = requests.post(f"{base or library.http}/feast/words/search", json=body, timeout=60)
    assert answer.status_code == status, answer.text
    if status != 200:
        return answer.json()
    answer = answer.json()
    columns = {name: result["values"] for name, result in zip(answer["metadata"]["feature_names"], answer["results"])}
    return pd.DataFrame(columns).set_index("doc_id")


QUESTIONS = random.Random(4).sample(WORDS, 25)


def test_the_ranks_are_those_of_full_text_search(library, fts):
    found = 0
    for question in QUESTIONS + ["hoping falls", "hopping OR skies", "connected relational OR sensibly OR cafés", "ARGING",
                                 "miring AND ions", "hoping hoped", "nothing"]:
        expected = fts(question)
        got = ask(library, query_string=question)
        found += len(got)
        assert set(got.index) == set(expected), question
        for key, rank in got.text_rank.items():
            assert rank == pytest.approx(expected[key], rel=1e-6), question
        assert list(got.text_rank) == sorted(got.text_rank, reverse=True)
        assert list(got.distance) == [-rank for rank in got.text_rank]
    assert found > 300


def test_the_best_come_first_on_both_ports_and_filters_come_before(library, fts):
    expected = pd.Series(fts("operators"))
    years = library.rows.set_index("doc_id").year
    some = expected[years.loc[expected.index] >= 2010].nlargest(3)
    assert len(some) == 3 and set(some.index) != set(expected.nlargest(3).index)
    for base in (library.http, library.feast_http):
        got = ask(library, base=base, query_string="operators", top_k=3, features=["docs:year", "docs:title"],
                  filters={"type": "gte", "key": "year", "value": 2010})
        assert list(got.columns) == ["year", "title", "distance", "text_rank"]
        assert list(got.text_rank) == pytest.approx(list(some), rel=1e-6)
        assert list(got.title) == list(library.rows.set_index("doc_id").title.loc[got.index])


def test_the_sdk_asks_by_words(library, fts):
    got = library.store.retrieve_online_documents_v2(
        features=["texts:title", "texts:text_rank"], query=None, query_string="connections", top_k=7).to_dict()
    expected = pd.Series(fts("connections")).nlargest(7)
    ranks = dict(zip(got["doc_id"], got["text_rank"]))
    assert ranks == pytest.approx(dict(expected), rel=1e-6)
    assert got["distance"] == pytest.approx([-ranks[key] for key in got["doc_id"]])
    titles = library.rows.set_index("doc_id").title
    assert got["title"] == list(titles.loc[got["doc_id"]])


def test_rows_with_the_words_come_before_the_nearest(library, fts):
    query = numpy.random.default_rng(8).normal(size=LENGTH)
    vectors = numpy.stack(library.rows.vector).astype("float64")
    both = pd.DataFrame({"distance": numpy.linalg.norm(vectors - query.astype("float32"), axis=1)}, index=library.rows.doc_id)
    for question in ("hopefulness", "troubled OR trees", "nothing"):
        both["rank"] = pd.Series(fts(question), dtype="float64").reindex(both.index).fillna(0)
        best = both.sort_values(["rank", "distance"], ascending=[False, True]).head(60)
        got = ask(library, query=query.tolist(), query_string=question, top_k=60)
        assert list(got.index) == list(best.index)
        assert list(got.text_rank) == pytest.approx(list(best["rank"]), rel=1e-6)
        assert list(got.distance) == pytest.approx(list(best.distance), rel=1e-5)
    keys = library.store.retrieve_online_documents_v2(
        features=["docs:title"], query=query.tolist(), query_string="hopefulness", top_k=9,
        filters=ComparisonFilter(type="lt", key="year", value=2020)).to_dict()["doc_id"]
    both["rank"] = pd.Series(fts("hopefulness")).reindex(both.index).fillna(0)
    some = both[library.rows.set_index("doc_id").year < 2020]
    assert set(keys) == set(some.sort_values(["rank", "distance"], ascending=[False, True]).head(9).index)


def test_what_is_written_is_found_at_once(library):
    # A vector of another length is not compared: the row is found by its words, with no distance.
    row = {"doc_id": [9000], "event_timestamp": ["2026-10-05T00:00:00Z"], "vector": [[1.0]], "title": ["Quaggas, Zèbres"],
           "note": [None], "year": [1]}
    answer = requests.post(f"{library.http}/feast/words/write-to-online-store", timeout=30,
                           json={"feature_view_name": "docs", "df": row})
    assert answer.status_code == 200, answer.text
    got = ask(library, query_string="zebre quagga")
    assert list(got.index) == [9000] and list(got.title) == ["Quaggas, Zèbres"]
    got = ask(library, query_string="zebre", query=[0.0] * LENGTH, top_k=2)
    assert got.index[0] == 9000 and pd.isna(got.distance.iloc[0]) and got.text_rank.iloc[1] == 0


@pytest.mark.parametrize("body,words", [
    ({}, "query: must be a vector"), ({"query_string": "?!"}, "has 0 words"), ({"query_string": 1}, "must be a text"),
    ({"query_string": "a NOT b"}, "NOT is not carried out"), ({"query_string": "a " * 65}, "has 65 words"),
    ({"query_string": "a" * 20_000}, "20000 bytes"), ({"query_string": "a", "top_k": 0}, "1 to 1000"),
    ({"query_string": "a", "features": ["vectors:vector"]}, "no feature of type STRING"),
    ({"query": [1.0] * LENGTH, "query_string": "a", "features": ["texts:title"]}, "no feature with a vector index"),
    ({"query": [1.0] * 2, "query_string": "zzz"}, f"has 2 numbers; the vectors of 'docs' have {LENGTH}"),
])
def test_wrong_searches_are_the_askers_fault(library, body, words):
    assert words in ask(library, 400, **body)
