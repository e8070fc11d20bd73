"""The console's Features section in a real browser: catalogue, a view's page, materializations, skew."""
import requests
from selenium.webdriver.common.by import By

import pytest

from test_console import browser, look, text, wait  # noqa: F401
from test_features import START, manifest, source


@pytest.fixture(scope="module")
def shop(start_aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("console-features")
    frame = source(seed=5, drivers=200, rows=3000)
    frame.to_parquet(folder / "drivers.parquet", index=False)
    server = start_aerie(folder / "data", "--feature-sample", "1")
    server.cli("apply", "-f", "-", input=manifest(folder / "drivers.parquet").replace(
        "  owner: risk\n", "  owner: risk\n  freshness: 2d\n  tags: {team: <b>pricing</b>}\n"
        "  quality: {suite: sane, onFailure: quarantine}\n") + """
---
apiVersion: aerie.dev/v1
kind: ExpectationSuite
metadata: {name: sane}
spec: {expectations: [{type: expect_column_values_to_be_between, kwargs: {column: trips, max_value: 999}}]}
---
apiVersion: aerie.dev/v1
kind: MaterializationSchedule
metadata: {name: nightly}
spec: {schedule: "0 3 * * *", featureViews: [driver_stats]}
""")
    for end in ("2026-10-11T00:00:00Z", "2026-10-21T00:00:00Z"):
        done = requests.post(f"{server.http}/materialize", timeout=60, json={
            "start_ts": START.isoformat(), "end_ts": end, "feature_views": ["driver_stats"]})
        assert done.status_code == 200, done.text
    return server


def test_the_catalogue_is_searched(browser, shop):
    browser.get(f"{shop.http}/console/features")
    assert "conv_rate" in text(browser) and "driver_stats" in text(browser) and "risk" in text(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "svg.histogram rect"), "values are pictured"
    look(browser, "features")
    box = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    box.send_keys("share taken")
    box.submit()
    wait(browser, lambda b: "1 features" in text(b))
    assert "conv_rate" in text(browser) and "lately" not in text(browser)


def test_a_view_shows_its_values_and_its_history(browser, shop):
    browser.get(f"{shop.http}/console/features/views/default/driver_stats")
    page = text(browser)
    for words in ("driver_id", "drivers.parquet", "driver_stats_service", "median", "mean over 2 materializations",
                  "Freshness target", "suite sane", "<b>pricing</b>", "In quarantine", "values_to_be_between"):
        assert words in page, words
    look(browser, "feature-view")
    browser.find_element(By.XPATH, "//button[text()='Materialize to now']").click()
    wait(browser, lambda b: "console" in b.find_element(By.ID, "runs").text.lower())
    wait(browser, lambda b: "running" not in b.find_element(By.ID, "runs").text.lower())


def test_materializations_and_schedules_are_listed(browser, shop):
    browser.get(f"{shop.http}/console/features/runs")
    page = text(browser)
    assert page.lower().count("succeeded") >= 2 and "nightly" in page and "0 3 * * *" in page
    assert "2026-10-01T00:00:00Z" in page
    look(browser, "materializations")


def test_skew_is_compared(browser, shop):
    body = {"entities": {"driver_id": list(range(1, 40))}, "features": ["driver_stats:trips", "driver_stats:conv_rate"]}
    for _ in range(3):
        assert requests.post(f"{shop.feast_http}/get-online-features", json=body, timeout=10).status_code == 200
    requests.post(f"{shop.http}/push", timeout=10, json={"push_source_name": "driver_stats", "df": {
        "driver_id": [1], "event_timestamp": ["2026-11-01T00:00:00Z"], "trips": [77], "conv_rate": [0.5]}})
    assert requests.post(f"{shop.feast_http}/get-online-features", json=body, timeout=10).status_code == 200
    browser.get(f"{shop.http}/console/features/skew")
    browser.find_element(By.XPATH, "//button[text()='Compare now']").click()
    wait(browser, lambda b: "sampled reads are kept" in text(b) and "trips" in text(b))
    look(browser, "skew")
    assert "training would say" in browser.page_source
