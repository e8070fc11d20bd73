"""The console in a real, headless Chromium, as a person clicks through it."""
import os
import pathlib
import time

import mlflow
import pytest
import requests
from selenium import webdriver
from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException, WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

SHOTS = os.environ.get("AERIE_SCREENSHOTS")


@pytest.fixture(scope="module")
def browser(chromium_options):
    chromium_options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=chromium_options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(30)
    yield driver
    driver.quit()


def look(browser, name):
    """Keeps a wide and a narrow picture where AERIE_SCREENSHOTS names a folder, and fails on any script error."""
    if SHOTS:
        pathlib.Path(SHOTS).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(f"{SHOTS}/{name}.png")
        size = browser.get_window_size()
        browser.set_window_size(800, 1000)
        browser.save_screenshot(f"{SHOTS}/{name}-800.png")
        browser.set_window_size(size["width"], size["height"])
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not errors, errors


def text(browser):
    return browser.find_element(By.TAG_NAME, "main").text


def wait(browser, condition):
    """Until the condition holds; a page that goes while it is looked at is looked at again.

    Chromium tells of that in two ways: as a stale element, and, where the page goes between the search for an element
    and the question to it, as an error of its inspector.
    """
    def held(b):
        try:
            return condition(b)
        except (StaleElementReferenceException, NoSuchElementException):
            return False
        except WebDriverException as error:
            if "does not belong to the document" in (error.msg or ""):
                return False
            raise

    WebDriverWait(browser, 30).until(held)


@pytest.fixture(scope="module")
def two_runs(aerie, fraud_deployment):
    """Two runs with histories, parameters that differ, a picture and a table among their artifacts."""
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("console")
    runs = []
    for depth in (4, 6):
        with mlflow.start_run(run_name=f"depth-{depth}") as run:
            mlflow.log_params({"max_depth": depth, "learning_rate": 0.1})
            for step in range(40):
                mlflow.log_metric("auc", 0.7 + 0.006 * depth * step / 40, step=step)
            mlflow.log_text("<script>document.title='owned'</script>", "notes.txt")
            mlflow.log_dict({"depth": depth}, "config.json")
            mlflow.set_tag("owner", "<b>risk</b>")
            runs.append(run.info.run_id)
    return runs


def test_home_shows_what_there_is(aerie, browser, two_runs):
    browser.get(aerie.http + "/")
    assert "Aerie" in browser.title
    assert browser.current_url.endswith("/console")
    look(browser, "home")
    for section in ("Experiments", "Models", "Pipelines", "Deployments"):
        browser.find_element(By.LINK_TEXT, section).click()
        assert browser.find_element(By.TAG_NAME, "h1").text == section
        look(browser, section.lower())


def test_runs_sort_and_compare(aerie, browser, two_runs):
    browser.get(aerie.http + "/console/experiments")
    browser.find_element(By.LINK_TEXT, "console").click()
    browser.find_element(By.CSS_SELECTOR, "th a[title='params.max_depth']").click()
    rows = browser.find_elements(By.CSS_SELECTOR, "tbody tr")
    assert "depth-4" in rows[0].text and "depth-6" in rows[1].text
    browser.find_element(By.CSS_SELECTOR, "th a[title='params.max_depth']").click()
    assert "depth-6" in browser.find_elements(By.CSS_SELECTOR, "tbody tr")[0].text
    look(browser, "experiment")
    for box in browser.find_elements(By.CSS_SELECTOR, "input[name=run]"):
        box.click()
    browser.find_element(By.ID, "compare").click()
    wait(browser, lambda b: "compare" in b.current_url)
    assert "depth-4" in text(browser) and "max_depth" in text(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "tr.differs"), "what differs is marked"
    assert browser.find_elements(By.CSS_SELECTOR, "svg polyline"), "metrics are drawn"
    look(browser, "compare")


def test_a_run_shows_its_metrics_and_artifacts_and_runs_no_text_of_a_user(aerie, browser, two_runs):
    browser.get(f"{aerie.http}/console/runs/{two_runs[0]}")
    assert "max_depth" in text(browser) and "<b>risk</b>" in text(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "svg polyline")
    look(browser, "run")
    browser.find_element(By.PARTIAL_LINK_TEXT, "notes.txt").click()
    assert "owned" not in browser.title
    assert "<script>" in text(browser)
    look(browser, "artifact")


def test_a_model_is_promoted_with_a_button(aerie, browser, fraud_deployment):
    browser.get(f"{aerie.http}/console/models/{fraud_deployment.model}")
    assert "Version" in text(browser)
    look(browser, "model")
    next(b for b in browser.find_elements(By.TAG_NAME, "button") if "Staging" in b.text).click()
    wait(
        browser, lambda b: mlflow.MlflowClient(aerie.http).get_model_version(
            fraud_deployment.model, fraud_deployment.version).current_stage == "Staging")
    browser.get(f"{aerie.http}/console/models/{fraud_deployment.model}")
    assert "Staging" in text(browser)


def test_a_deployment_shows_its_traffic_live(aerie, browser, fraud_deployment):
    url = f"{aerie.inference_http}/v2/models/{fraud_deployment.name}/infer"
    row = fraud_deployment.rows[0]
    session, end = requests.Session(), time.monotonic() + 3
    while time.monotonic() < end:
        session.post(url, json={"inputs": [{"name": "i", "shape": [1, len(row)], "datatype": "FP64", "data": row}]},
                     timeout=5).raise_for_status()
    browser.get(f"{aerie.http}/console/deployments/{fraud_deployment.name}")
    assert "Available" in text(browser) and "production" in text(browser)
    wait(browser, lambda b: "µs" in text(b) or "ms" in text(b))
    look(browser, "deployment")


def test_pages_that_are_not_there_say_so(aerie, browser):
    for path in ("runs/nothing", "models/nothing", "pipelines/runs/nothing", "deployments/nothing", "nothing"):
        answer = requests.get(f"{aerie.http}/console/{path}", timeout=5)
        assert answer.status_code == 404, path
        assert "Aerie" in answer.text and "nothing" in answer.text


def test_a_form_from_another_site_changes_nothing(aerie, fraud_deployment):
    for origin in ("http://elsewhere.example", "null", aerie.http + ".elsewhere.example"):
        answer = requests.post(
            f"{aerie.http}/console/models/{fraud_deployment.model}/{fraud_deployment.version}/stage",
            data={"stage": "Archived"}, headers={"Origin": origin}, timeout=5)
        assert answer.status_code == 403, (origin, answer.text)


def test_the_addresses_that_mlflow_prints_lead_to_the_run(aerie, browser, two_runs):
    browser.get(f"{aerie.http}/#/experiments/1/runs/{two_runs[1]}")
    wait(browser, lambda b: b.current_url.endswith("/console/runs/" + two_runs[1]))
    assert "depth-6" in text(browser)


def test_a_run_shows_the_model_it_made_and_where_it_is_registered(aerie, browser, fraud_deployment):
    browser.get(f"{aerie.http}/console/runs/{fraud_deployment.run_id}")
    assert "Ready" in text(browser) and f"{fraud_deployment.model} version" in text(browser)
    browser.find_element(By.CSS_SELECTOR, "details summary").click()
    browser.find_element(By.LINK_TEXT, "MLmodel").click()
    assert "flavors" in text(browser)
    look(browser, "model-file")
