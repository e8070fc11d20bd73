"""The feature store in the hands of somebody in a hurry: names of all kinds, half of the files missing, wrong rows."""
import datetime

import pandas as pd
import pytest
import requests

SPACE = "ml_platform"
ENTITY = "apiVersion: aerie.dev/v1\nkind: Entity\nmetadata: {name: driver}\nspec: {joinKey: driver_id, valueType: INT64}\n"


def view(name, source, more=""):
    return (f"---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {{name: {name}}}\nspec:\n  entities: [driver]\n"
            f"  source: {source}\n{more}  features: [{{name: trips, dtype: INT64}}]\n")


@pytest.fixture(scope="module")
def place(aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("mistakes")
    pd.DataFrame({"driver_id": [1, 2], "trips": [10, 20],
                  "event_timestamp": pd.to_datetime(["2026-10-01", "2026-10-02"], utc=True)}
                 ).to_parquet(folder / "drivers.parquet", index=False)
    pd.DataFrame({"driver_id": ["one", "two"], "trips": [10, 20],
                  "event_timestamp": pd.to_datetime(["2026-10-01", "2026-10-02"], utc=True)}
                 ).to_parquet(folder / "named.parquet", index=False)
    aerie.cli("apply", "-n", SPACE, "-f", "-", input=ENTITY + view("driver_stats", f"{{path: {folder}/drivers.parquet}}"))
    return folder


def test_names_with_underscores_are_reached_from_the_command_line(aerie, place):
    rows = '{"driver_id": [7], "trips": [70], "event_timestamp": ["2026-11-01T00:00:00Z"]}'
    aerie.cli("features", "push", "driver_stats", "-n", SPACE, input=rows)
    shown = aerie.cli("features", "online", "get", "--entity", "driver_id=7", "--features", "driver_stats:trips", "-n", SPACE)
    assert shown.stdout.split() == ["driver_id", "trips", "7", "70"]
    assert aerie.cli("features", "versions", "driver_stats", "-n", SPACE).stdout.count("\n") == 2
    aerie.cli("features", "historical", "--end", "2026-10-31", "--features", "driver_stats:trips", "-n", SPACE,
              "--output", str(place / "october.parquet"), "--save", "driver_rows")
    assert "driver_rows" in aerie.cli("features", "datasets", "show", "driver_rows", "1", "-n", SPACE).stdout
    # As other clients write it.
    escaped = f"{aerie.http}/api/aerie/v1/features/views/driver%5Fstats/statistics?namespace={SPACE}"
    assert requests.get(escaped, timeout=30).status_code == 200


def test_a_view_that_fails_holds_up_no_other(aerie, place):
    broken = [view(name, f"{{path: {place}/{name}.parquet, timestampField: at}}") for name in ("absent", "lost")]
    aerie.cli("apply", "-n", "broken", "-f", "-", input=ENTITY + "".join(broken)
              + view("present", f"{{path: {place}/drivers.parquet}}"))
    done = aerie.cli("features", "materialize-incremental", "-n", "broken", check=False)
    assert done.returncode != 0
    for words in ("'absent'", "'lost'", "1 of 3"):
        assert words in done.stderr
    shown = aerie.cli("features", "online", "get", "--entity", "driver_id=2", "--features", "present:trips", "-n", "broken")
    assert shown.stdout.split()[-1] == "20"


def test_what_is_passed_over_is_said(aerie, place):
    warehouse = view("elsewhere", "{type: bigquery, table: project.dataset.drivers}")
    aerie.cli("apply", "-n", "remote", "-f", "-", input=ENTITY + warehouse)
    done = aerie.cli("features", "materialize-incremental", "-n", "remote")
    assert "elsewhere: passed over" in done.stderr and "nothing is copied" in done.stderr


@pytest.mark.parametrize("rows,arguments,expected", [
    ("driver_id,event_timestamp\n1,2026-10-03\n", (), "10"),
    ("driver_id,when\n2,2026-10-03\n", (), "20"),
    ("driver_id,event_timestamp\n", (), None),
], ids=["dates", "one-date", "no-rows"])
def test_times_of_entity_rows_may_be_dates(aerie, place, rows, arguments, expected):
    (place / "rows.csv").write_text(rows)
    aerie.cli("features", "historical", "--entity-rows", str(place / "rows.csv"), "--features", "driver_stats:trips",
              "-n", SPACE, "--output", str(place / "out.csv"), *arguments)
    lines = (place / "out.csv").read_text().splitlines()
    assert lines[0].endswith(",trips") and len(lines) == (2 if expected else 1)
    assert expected is None or lines[1].endswith("," + expected)


@pytest.mark.parametrize("content,arguments,words", [
    (b"driver_id,event_timestamp\nx,2026-10-03\n", (), ["entity rows", "'x'", "driver_id"]),
    (b"driver_id,event_timestamp\n1,yesterday\n", (), ["entity rows", "yesterday", "event_timestamp"]),
    (b"driver_id,event_timestamp\n1,2026-10-03\n", ("--timestamp", "at"), ["timestamp", "'at'", "driver_id, event_timestamp"]),
    (b"driver_id,city\n1,Roma\n", (), ["timestamp", "driver_id, city"]),
    (b"user,event_timestamp\n1,2026-10-03\n", (), ["driver_stats", "'driver_id'"]),
    (b"driver_id,event_timestamp\n\xff\xfe\x00,2026\n", (), ["entity rows", "not utf-8"]),
], ids=["key", "time", "no-column", "no-time", "no-key", "not-utf8"])
def test_wrong_entity_rows_are_named(aerie, place, content, arguments, words):
    (place / "wrong.csv").write_bytes(content)
    done = aerie.cli("features", "historical", "--entity-rows", str(place / "wrong.csv"), "--features",
                     "driver_stats:trips", "-n", SPACE, "--output", str(place / "never.csv"), *arguments, check=False)
    assert done.returncode == 2, done.stderr
    for word in words:
        assert word in done.stderr
    # Neither the statement, which is not the user's, nor the server's folder.
    assert "LINE 1" not in done.stderr and str(aerie.data_dir) not in done.stderr
    assert not (place / "never.csv").exists()


SERVICE = "---\napiVersion: aerie.dev/v1\nkind: FeatureService\nmetadata: {name: wishes}\nspec: {features: [%s]}\n"
SCHEDULE = ("---\napiVersion: aerie.dev/v1\nkind: MaterializationSchedule\nmetadata: {name: nightly}\n"
            "spec: {schedule: '@daily', featureViews: [driver_stats, %s]}\n")


@pytest.mark.parametrize("text,words", [
    (SERVICE % '"nobody:trips"', "spec.features: there is no feature view 'nobody'"),
    (SERVICE % '"driver_stats:fare"', "spec.features: feature view 'driver_stats' has no feature 'fare'; there are trips"),
    (SCHEDULE % "nothing", "spec.featureViews[1]: there is no feature view 'nothing'"),
    (view("other", "{path: x.parquet}").replace("[driver]", "[rider]"), "spec.entities[0]: there is no entity 'rider'"),
    (view("other", "{path: x.parquet}", "  quality: {suite: strict}\n"), "there is no ExpectationSuite 'strict'"),
    (view("other", "{path: x.parquet}").replace("name: trips", "name: driver_id"), "'driver_id' is a key of the view"),
    (view("other", "{type: postgres, connection: warehouse, table: t}"), "there is no SourceConnection 'warehouse'"),
], ids=["view", "feature", "schedule", "entity", "suite", "key", "connection"])
def test_names_of_nothing_are_told(aerie, place, text, words):
    told = aerie.cli("apply", "-n", SPACE, "--dry-run", "-f", "-", input=text)
    assert words in told.stderr


def test_what_comes_in_one_text_may_rely_on_itself(aerie, place):
    computed = ("---\napiVersion: aerie.dev/v1\nkind: FeatureView\nmetadata: {name: doubled}\nspec:\n"
                "  onDemand: {inputs: ['fresh:trips']}\n  features: [{name: twice, dtype: INT64, expression: trips * 2}]\n")
    text = (SERVICE % '"fresh:trips", "doubled:twice"').replace("wishes", "all") + "---\n" + ENTITY + view(
        "fresh", f"{{path: {place}/drivers.parquet}}") + computed
    told = aerie.cli("apply", "-n", "one_text", "--dry-run", "-f", "-", input=text)
    assert told.stderr == "" and told.stdout.count("created (dry run)") == 4
    # What is refused keeps the documents before it from being written, too.
    refused = aerie.cli("apply", "-n", "one_text", "-f", "-", input=ENTITY + computed, check=False)
    assert refused.returncode == 2 and "'fresh'" in refused.stderr
    assert "no entity found" in aerie.cli("get", "entity", "-n", "one_text").stderr
    assert aerie.cli("apply", "-n", "one_text", "-f", "-", input=text).stderr == ""
    assert "unchanged" in aerie.cli("apply", "-n", "one_text", "-f", "-", input=text).stdout


def test_a_suite_that_views_rely_on_is_not_deleted(aerie, place):
    suite = ("apiVersion: aerie.dev/v1\nkind: ExpectationSuite\nmetadata: {name: sane}\nspec:\n  expectations:\n"
             "  - {type: expect_column_values_to_be_between, kwargs: {column: trips, min_value: 0}}\n")
    checked = view("checked", f"{{path: {place}/drivers.parquet}}", "  quality: {suite: sane}\n")
    aerie.cli("apply", "-n", "suites", "-f", "-", input=suite + "---\n" + ENTITY + checked)
    refused = aerie.cli("delete", "expectationsuite", "sane", "-n", "suites", check=False)
    assert refused.returncode == 4 and "FeatureView/checked" in refused.stderr
    aerie.cli("delete", "featureview", "checked", "-n", "suites")
    aerie.cli("delete", "expectationsuite", "sane", "-n", "suites")


@pytest.mark.parametrize("row,words", [
    ({"driver_id": [None], "event_timestamp": ["2026-11-01"]}, "df.driver_id[0]: a key must not be null"),
    ({"driver_id": [1], "event_timestamp": ["2026-02-31"]}, 'df.event_timestamp[0]: "2026-02-31" is no moment'),
], ids=["null-key", "no-such-day"])
def test_wrong_rows_of_a_push_are_named(aerie, place, row, words):
    done = requests.post(f"{aerie.http}/feast/{SPACE}/push", timeout=30,
                         json={"push_source_name": "driver_stats", "df": {**row, "trips": [1]}})
    assert done.status_code == 400 and words in done.json()


def test_a_row_of_a_far_future_is_refused(aerie, place):
    now = datetime.datetime.now(datetime.timezone.utc)

    def push(name, ahead):
        times = [now.isoformat(), (now + datetime.timedelta(hours=ahead)).isoformat()]
        return requests.post(f"{aerie.http}/feast/{SPACE}/push", timeout=30, json={
            "push_source_name": name, "df": {"driver_id": [91, 92], "event_timestamp": times, "trips": [ahead, ahead]}})
    refused = push("driver_stats", 24 * 365)
    assert refused.status_code == 400
    for word in ("df.event_timestamp[1]", "86400 s ahead", "spec.futureLimit"):
        assert word in refused.json()
    asked = ("features", "online", "get", "--entity", "driver_id=91", "--features", "driver_stats:trips", "-n", SPACE)
    assert "8760" not in aerie.cli(*asked).stdout
    assert push("driver_stats", 23).status_code == 200
    # Forecasts say so.
    forecast = view("forecast", "{type: push, timestampField: event_timestamp}", "  futureLimit: 400d\n")
    aerie.cli("apply", "-n", SPACE, "-f", "-", input=forecast)
    assert push("forecast", 24 * 365).status_code == 200
    wrong = aerie.cli("apply", "-n", SPACE, "--dry-run", "-f", "-", input=forecast.replace("400d", "soon"), check=False)
    assert wrong.returncode == 2 and "spec.futureLimit: \"soon\" is no duration" in wrong.stderr
    # Whatever the rows say, no view is fresher than now.
    found = requests.get(f"{aerie.http}/api/aerie/v1/features/freshness?namespace={SPACE}", timeout=30).json()
    ages = {one["view"]: one["age_seconds"] for one in found["views"]}
    assert 0 <= ages["forecast"] < 600 and 0 <= ages["driver_stats"] < 600


@pytest.mark.parametrize("word", ["FLOAT", "DOUBLE", "BOOL", "INT64_LIST"])
def test_an_entity_of_a_type_that_names_nothing_is_refused(aerie, word):
    refused = aerie.cli("apply", "--dry-run", "-f", "-", check=False, input=ENTITY.replace("INT64", word))
    assert refused.returncode == 2 and "standard input:4:" in refused.stderr
    assert f"spec.valueType: '{word}' is no type of a key; write one of INT32, INT64, STRING" in refused.stderr


def test_a_run_without_news_hides_no_statistics(aerie, place):
    aerie.cli("apply", "-n", "no_news", "-f", "-", input=ENTITY + view("driver_stats", f"{{path: {place}/drivers.parquet}}"))
    for end in ("2026-10-10", "2026-10-11"):
        aerie.cli("features", "materialize-incremental", end, "-n", "no_news")
    kept = requests.get(f"{aerie.http}/api/aerie/v1/features/views/driver_stats/statistics?namespace=no_news", timeout=30)
    assert [(one["rows"], one["features"]["trips"]["count"]) for one in kept.json()["statistics"]] == [(2, 2)]
    # Views of one name in several namespaces are told apart.
    assert "no_news/driver_stats" in requests.get(f"{aerie.http}/console/features", timeout=30).text


@pytest.mark.parametrize("ending", ["csv", "arrow", "parquet"])
def test_a_dataset_is_saved_whatever_the_format_of_the_output(aerie, place, ending):
    out = place / f"saved.{ending}"
    aerie.cli("features", "historical", "--end", "2026-10-31", "--features", "driver_stats:trips", "-n", SPACE, "--output", str(out),
              "--save", f"saved_{ending}")
    kept = place / f"kept-{ending}.parquet"
    aerie.cli("features", "datasets", "get", f"saved_{ending}", "1", "-n", SPACE, "--output", str(kept))
    read = {"csv": pd.read_csv, "arrow": pd.read_feather, "parquet": pd.read_parquet}[ending](out)
    assert list(read["trips"]) == list(pd.read_parquet(kept)["trips"]) == [10, 20]
