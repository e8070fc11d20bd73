"""One set of edge cases, answered by Aerie and by Feast's two local stores, against an oracle of nested loops."""
import datetime
import pathlib
import shutil
import tempfile

import numpy as np
import pandas as pd

import warnings

import peers

warnings.filterwarnings("ignore")

START = pd.Timestamp("2026-10-01", tz="UTC")
HOUR = pd.Timedelta(hours=1)
#: name: (keys, features, ttl in hours or None)
VIEWS = {
    "driver_hourly": (["driver"], ["rate", "trips"], 24),
    "driver_ever": (["driver"], ["score", "level"], None),
    "shop_daily": (["shop"], ["sales", "staff"], 48),
    "pair": (["driver", "shop"], ["visits", "rating"], 72),
    "world": ([], ["index", "fuel"], 6),
}


def make():
    """Few keys and moments a minute apart, so that equal times, exact limits and gaps are many."""
    rng = np.random.default_rng(20)
    tables = {}
    for name, (keys, features, _) in VIEWS.items():
        count = 400 if keys else 60
        table = pd.DataFrame({key: rng.integers(0, 12, count) for key in keys} | {
            "event_timestamp": START + pd.to_timedelta(rng.integers(0, 240, count), unit="h")})
        table["created"] = table.event_timestamp + pd.to_timedelta(rng.integers(0, 5, count), unit="min")
        for feature in features:
            table[feature] = np.where(rng.random(count) < 0.15, np.nan, rng.normal(0, 1, count).round(6))
        # The same key and time again, told apart only by when it was written down.
        again = table.sample(count // 5, random_state=3).copy()
        again["created"] += pd.Timedelta(minutes=10)
        again[features] = rng.normal(5, 1, (len(again), len(features))).round(6)
        table = pd.concat([table, again]).sample(frac=1, random_state=4)
        # Of equal keys, times and creations, the stores say nothing; there are none.
        tables[name] = table.drop_duplicates([*keys, "event_timestamp", "created"]).reset_index(drop=True)
    rows = pd.DataFrame({"driver": rng.integers(0, 14, 1000), "shop": rng.integers(0, 14, 1000),
                         "event_timestamp": START + pd.to_timedelta(rng.integers(-10, 300, 1000), unit="h")})
    # Whole rows twice, and rows that differ in nothing but what does not matter to the join.
    rows = pd.concat([rows, rows.sample(21, random_state=5)]).reset_index(drop=True)
    rows["label"] = np.arange(len(rows))
    return tables, rows


def oracle(tables, rows):
    out = {}
    for name, (keys, features, ttl) in VIEWS.items():
        records = tables[name].to_dict("records")
        for feature in features:
            out[f"{name}__{feature}"] = []
        for row in rows.to_dict("records"):
            best = None
            for record in records:
                if any(record[key] != row[key] for key in keys) or record["event_timestamp"] > row["event_timestamp"]:
                    continue
                if ttl is not None and row["event_timestamp"] - record["event_timestamp"] > ttl * HOUR:
                    continue
                if best is None or (record["event_timestamp"], record["created"]) > (best["event_timestamp"], best["created"]):
                    best = record
            for feature in features:
                out[f"{name}__{feature}"].append(np.nan if best is None else best[feature])
    return pd.DataFrame(out)


def judge(name, table, rows, want):
    """Rows by their label: how many are gone, how many cells are wrong in those that are there."""
    here = table.drop_duplicates("label").set_index("label")
    labels = [label for label in rows.label if label in here.index]
    got = here.loc[labels, list(want.columns)].astype(float).to_numpy()
    expected = want.loc[labels].to_numpy()
    wrong = ~((got == expected) | (np.isnan(got) & np.isnan(expected)))
    print(f"| {name} | {len(rows) - len(labels)} | {int(wrong.sum())} of {wrong.size} | "
          f"{'yes' if list(table.label) == list(rows.label) else 'no'} |", flush=True)


def main():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="aerie-correctness-"))
    tables, rows = make()
    want = oracle(tables, rows)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet", index=False)
    rows.to_parquet(folder / "rows.parquet", index=False)
    features = [f"{name}:{feature}" for name, (_, names, _) in VIEWS.items() for feature in names]
    print(f"{len(rows)} entity rows x {len(features)} features of {len(VIEWS)} views; {int(want.notna().sum().sum())} cells have a value\n")
    print("| | rows lost | cells wrong, of rows that are there | order kept |\n|---|---|---|---|")
    aerie = peers.Aerie(folder / "aerie", peers.aerie_entities(["driver", "shop"]) + "".join(
        peers.aerie_view(name, folder / f"{name}.parquet", keys, names, (ttl or 0) * 3600) for name, (keys, names, ttl) in VIEWS.items()))
    try:
        aerie.historical(folder / "rows.parquet", features, folder / "out.parquet")
    finally:
        aerie.stop()
    judge("Aerie", pd.read_parquet(folder / "out.parquet"), rows, want)
    for store in ("duckdb", "file"):
        objects = {}
        for name, (keys, names, ttl) in VIEWS.items():
            for one in peers.feast_view(name, folder / f"{name}.parquet", keys, names, datetime.timedelta(hours=ttl or 0)):
                objects[one.name] = one
        try:
            table, _, _ = peers.Feast(folder / f"feast-{store}", store, list(objects.values())).historical(rows, features)
            judge(f"Feast, `offline_store: {store}`", table, rows, want)
        except Exception as problem:
            print(f"| Feast, `offline_store: {store}` | fails: {type(problem).__name__}: {str(problem)[:100]} | | |", flush=True)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
