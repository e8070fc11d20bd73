"""The demo as users start it: exit code 0, and a table that says what happened."""
import csv
import os
import pathlib
import random
import re
import subprocess
import sys

import pytest

from conftest import BINARY, ROOT

ORIGINAL = ROOT.parent / "shared" / "data" / "fraud" / "credit_card_fraud_10k.csv"


def run_demo(folder: pathlib.Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "dev/demo.py", "--exit"], cwd=ROOT, text=True, capture_output=True, timeout=240,
        env={**os.environ, "AERIE_BIN": BINARY, "AERIE_DEMO_DIR": str(folder), **environment})
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def table(output: str) -> str:
    """What stands between the two lines at the end, and the line below."""
    return output[output.index("─" * 20):]


def check_table(text: str) -> None:
    assert re.search(r"AUC (?:0\.9\d+|1\.0000), F1 0\.\d+, precision", text), text
    for protocol in ("HTTP", "gRPC"):
        assert re.search(rf"held-out rows over {protocol}\s+[\d.]+ s\s+all as the model says.*P50 [\d.]+ ms, P99 [\d.]+ ms",
                         text), text
    assert re.search(r"server's own latency\s+P50 \d+ µs, P99 \d+ µs", text), text
    assert "Development → Staging → Production" in text
    assert re.search(r"console: http://127\.0\.0\.1:\d+/console", text), text
    assert re.search(r"fraud-detector serves version 1 at http://127", text), text


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "demo"


def test_generated_stream(folder):
    text = table(run_demo(folder))
    check_table(text)
    assert re.search(r"training data\s+10,000 rows .* kept as dataset fraud-training/1\n", text), text
    measures = re.search(r"AUC ([\d.]+), F1 ([\d.]+).*baseline F1 ([\d.]+)", text)
    auc, f1, baseline = (float(value) for value in measures.groups())
    assert auc > 0.95 and f1 > 0.90 and baseline < f1 - 0.05


def write_transactions(path: pathlib.Path, rows: int = 6000) -> None:
    """The ten documented columns, where a transaction is fraud by rules that trees can learn, with a little noise."""
    generator = random.Random(11)
    with open(path, "w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["transaction_id", "amount", "transaction_hour", "merchant_category", "foreign_transaction",
                      "location_mismatch", "device_trust_score", "velocity_last_24h", "cardholder_age", "is_fraud"])
        for row in range(rows):
            amount, hour = round(generator.expovariate(1 / 180), 2), generator.randrange(24)
            category = generator.choice(["Clothing", "Electronics", "Food", "Grocery", "Travel"])
            foreign, mismatch = int(generator.random() < 0.2), int(generator.random() < 0.2)
            trust, velocity = generator.randrange(20, 100), generator.randrange(8)
            points = (amount > 300) + foreign + mismatch + (trust < 40) + (velocity > 4) + (hour < 5)
            fraud = points >= 3 if generator.random() > 0.002 else points < 3
            out.writerow([row + 1, amount, hour, category, foreign, mismatch, trust, velocity,
                          generator.randrange(18, 80), str(fraud).upper()])


def test_a_file_of_ones_own(folder, tmp_path):
    source = tmp_path / "own.csv"
    write_transactions(source)
    text = table(run_demo(folder, AERIE_FRAUD_CSV=str(source)))
    check_table(text)
    assert str(source) in text


def test_the_original_file_or_one_like_it(folder, tmp_path):
    """The file that the documents speak of, where it lies beside the checkout; elsewhere a written one stands in."""
    source = ORIGINAL
    if not source.exists():
        source = tmp_path / "like.csv"
        write_transactions(source, rows=10_000)
    check_table(table(run_demo(folder, AERIE_FRAUD_CSV=str(source))))


def test_a_missing_file_is_said(folder, tmp_path):
    done = subprocess.run(
        [sys.executable, "dev/demo.py", "--exit"], cwd=ROOT, text=True, capture_output=True, timeout=120,
        env={**os.environ, "AERIE_BIN": BINARY, "AERIE_DEMO_DIR": str(folder),
             "AERIE_FRAUD_CSV": str(tmp_path / "nowhere.csv")})
    assert done.returncode == 1
    assert "nowhere.csv" in done.stdout + done.stderr
