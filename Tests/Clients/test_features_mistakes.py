"""The feature store in the hands of somebody in a hurry: names of all kinds, half of the files missing, wrong rows."""
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
              "--output", str(place / "october.csv"), "--save", "driver_rows")
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
    (b"driver_id,event_timestamp\nx,2026-10-03\n", (), ["driver_stats", "'x'", "driver_id"]),
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
