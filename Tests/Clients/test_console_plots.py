"""Runs and versions beside each other in a real browser: files, plots, cross-hairs, versions, stages, remembered columns."""
import mlflow
import numpy
import pytest
import requests
from mlflow.entities import Metric, Param
from mlflow.models import infer_signature
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from test_console import browser, look, text, wait  # noqa: F401


@pytest.fixture(scope="module")
def swept(aerie):
    """Forty runs over two numbers and a word; the first two with files that differ."""
    client = mlflow.MlflowClient(aerie.http)
    experiment = client.create_experiment("console-plots")
    runs = []
    for index in range(40):
        run = client.create_run(experiment, run_name=f"sweep-{index:02d}").info.run_id
        params = [Param("depth", str(2 + index % 6)), Param("rate", str(10 ** -(1 + index % 4))),
                  Param("booster", ["gbdt", "dart", "goss"][index % 3])]
        if index == 39:
            params = params[:1]
        history = [Metric("loss", float("nan") if step == 9 else 1 / (step + 1) + index / 100, 1000 * step, step)
                   for step in range(20)]
        client.log_batch(run, metrics=history + [Metric("auc", 0.5 + (index * 37 % 40) / 80, 0, 0)], params=params)
        client.set_terminated(run)
        runs.append(run)
    client.log_text(runs[0], "depth: 2\nrate: 0.1\nseed: 7\n", "conf.yaml")
    client.log_text(runs[1], "depth: 3\nrate: 0.1\nseed: 7\n<script>document.title='owned'</script>\n", "conf.yaml")
    client.log_text(runs[0], "same", "same.txt")
    client.log_text(runs[1], "same", "same.txt")
    client.log_text(runs[0], "1 of one size", "size.txt")
    client.log_text(runs[1], "2 of one size", "size.txt")
    client.log_text(runs[0], "here", "only.txt")
    return experiment, runs


@pytest.fixture(scope="module")
def two_versions(aerie):
    from sklearn.linear_model import LogisticRegression
    import pandas
    mlflow.set_tracking_uri(aerie.http)
    mlflow.set_experiment("console-registry")
    rows = pandas.DataFrame(numpy.random.default_rng(3).normal(size=(40, 2)), columns=["age", "income"])
    for depth in (1, 2):
        with mlflow.start_run(run_name=f"fit-{depth}"):
            mlflow.log_params({"C": depth})
            mlflow.log_metric("auc", 0.8 + depth / 100)
            mlflow.log_input(mlflow.data.from_pandas(rows, name="customers"), context="training")
            kept = rows if depth == 2 else rows.rename(columns={"income": "wage"})
            model = LogisticRegression(C=depth).fit(kept, (rows["age"] > 0).astype(int))
            mlflow.sklearn.log_model(model, name="model", signature=infer_signature(kept, model.predict(kept)),
                                     input_example=kept.head(3), registered_model_name="console_churn")
    return "console_churn"


def test_files_of_runs_are_compared_line_by_line(aerie, browser, swept):  # noqa: F811
    browser.get(f"{aerie.http}/console/compare?runs={swept[1][0]},{swept[1][1]}")
    assert "changed" in text(browser).lower() and "missing" in text(browser).lower()
    states = {row.find_elements(By.TAG_NAME, "td")[0].text: row.find_elements(By.TAG_NAME, "td")[1].text.lower()
              for row in browser.find_elements(By.XPATH, "//th[.='Content']/ancestor::table//tbody/tr")}
    assert states == {"conf.yaml": "changed", "only.txt": "missing", "same.txt": "same", "size.txt": "changed"}
    look(browser, "compare-files")
    browser.find_element(By.CSS_SELECTOR, "a[aria-label='lines of conf.yaml']").click()
    assert [row.text.split()[-1] for row in browser.find_elements(By.CSS_SELECTOR, "tr.gone")] == ["2"]
    came = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tr.came")]
    assert "depth: 3" in came[0] and "<script>" in came[1]
    assert "owned" not in browser.title
    look(browser, "compare-lines")


def test_plots_draw_numbers_words_and_powers_and_are_brushed(aerie, browser, swept):  # noqa: F811
    browser.get(f"{aerie.http}/console/experiments/{swept[0]}")
    browser.find_element(By.LINK_TEXT, "Plots").click()
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.parallel polyline")) == 40
    look(browser, "plots")
    browser.get(f"{aerie.http}/console/experiments/{swept[0]}/plots?axis=params.depth&axis=params.rate"
                "&axis=params.booster&axis=metrics.auc&log=params.rate&x=params.rate&y=metrics.auc&color=metrics.auc")
    picture = browser.find_element(By.CSS_SELECTOR, "svg.parallel").text
    assert "gbdt" in picture and "none" in picture and "log" in picture and "\n0.001\n" in picture
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.scatter circle")) == 39
    grip = browser.find_elements(By.CSS_SELECTOR, "svg.parallel .grip")[3]
    height = grip.rect["height"]
    ActionChains(browser).move_to_element_with_offset(grip, 0, int(-height / 2) + 2).click_and_hold() \
        .move_to_element_with_offset(grip, 0, 0).release().perform()
    out = len(browser.find_elements(By.CSS_SELECTOR, "svg.parallel .out"))
    assert 15 <= out <= 25, out
    assert f"{40 - out} of 40" in browser.find_element(By.ID, "brushed").text
    look(browser, "plots-brushed")
    ActionChains(browser).move_to_element(grip).click().perform()
    assert not browser.find_elements(By.CSS_SELECTOR, "svg.parallel .out")
    browser.get(f"{aerie.http}/console/experiments/{swept[0]}/plots?q=params.booster+%3D+%27dart%27")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.parallel polyline")) == 13


def test_a_chart_says_its_values_and_hides_a_line(aerie, browser, swept):  # noqa: F811
    browser.get(f"{aerie.http}/console/compare?runs={','.join(swept[1][:12])}")
    chart = browser.find_element(By.CSS_SELECTOR, "svg.chart[aria-label=loss]")
    # Each line has a gap at the step that is no number.
    assert len(chart.find_elements(By.CSS_SELECTOR, "polyline")) == 24
    browser.execute_script("arguments[0].scrollIntoView({block:'center'})", chart)
    ActionChains(browser).move_to_element_with_offset(chart, int(-chart.rect["width"] / 2) + 62, 0).perform()
    tip = browser.find_element(By.CSS_SELECTOR, ".tip").text
    assert tip.startswith("step 0") and "sweep-00: 1\n" in tip and "sweep-01: 1.010" in tip
    look(browser, "chart-crosshair")
    panel = chart.find_element(By.XPATH, "..")
    name = panel.find_element(By.CSS_SELECTOR, ".legend button[data-line='0']")
    name.click()
    assert name.get_attribute("aria-pressed") == "false"
    assert len(chart.find_elements(By.CSS_SELECTOR, "polyline.off")) == 2
    ActionChains(browser).move_to_element_with_offset(chart, int(-chart.rect["width"] / 2) + 62, 0).perform()
    assert "sweep-00" not in browser.find_element(By.CSS_SELECTOR, ".tip").text
    browser.execute_script("arguments[0].focus()", chart)
    chart.send_keys(Keys.ARROW_RIGHT)
    assert browser.find_element(By.CSS_SELECTOR, ".tip").text.startswith("step 1")


def test_keys_are_explained_and_columns_remembered(aerie, browser, swept):  # noqa: F811
    page = f"{aerie.http}/console/experiments/{swept[0]}"
    browser.get(page)
    browser.find_element(By.TAG_NAME, "body").send_keys("?")
    assert browser.find_element(By.ID, "keys").is_displayed()
    look(browser, "keys")
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not browser.find_element(By.ID, "keys").is_displayed()
    browser.find_element(By.CSS_SELECTOR, ".chooser summary").click()
    for box in browser.find_elements(By.CSS_SELECTOR, ".chooser input"):
        if box.is_selected() != (box.get_attribute("value") == "params.booster"):
            box.click()
    browser.find_element(By.CSS_SELECTOR, ".chooser button").click()
    wait(browser, lambda b: "col=params.booster" in b.current_url)

    def heads():
        return [head.get_attribute("title") for head in browser.find_elements(By.CSS_SELECTOR, "th a")][3:]

    browser.get(page)
    assert heads() == ["params.booster"]
    browser.find_element(By.CSS_SELECTOR, ".chooser summary").click()
    browser.find_element(By.LINK_TEXT, "The usual ones").click()
    wait(browser, lambda b: len(heads()) > 3)
    browser.get(page)
    assert len(heads()) > 3


def test_a_version_shows_what_it_takes_and_where_it_comes_from(aerie, browser, two_versions):  # noqa: F811
    browser.get(f"{aerie.http}/console/models/{two_versions}")
    look(browser, "registry-model")
    browser.find_element(By.LINK_TEXT, "Version 2").click()
    page = text(browser)
    assert "income" in page and "double" in page and "fit-2" in page and "MLmodel" in page
    lineage = browser.find_element(By.CSS_SELECTOR, "svg[aria-label=lineage]").text
    assert "customers" in lineage and "fit-2" in lineage and "console_churn v2" in lineage
    assert "input example" in page.lower() and browser.find_elements(By.LINK_TEXT, "MLmodel")
    look(browser, "registry-version")
    browser.find_element(By.LINK_TEXT, "MLmodel").click()
    assert "Signature" in text(browser)


def test_a_version_is_moved_named_tagged_and_described(aerie, browser, two_versions):  # noqa: F811
    client = mlflow.MlflowClient(aerie.http)
    page = f"{aerie.http}/console/models/{two_versions}/2"
    browser.get(page)
    browser.find_element(By.CSS_SELECTOR, "select[name=stage] option[value=Production]").click()
    browser.find_element(By.XPATH, "//button[text()='Move']").click()
    wait(
        browser, lambda b: client.get_model_version(two_versions, "2").current_stage == "Production")
    browser.get(page)
    assert "console" in browser.find_elements(By.CSS_SELECTOR, "table")[-1].text
    browser.find_element(By.CSS_SELECTOR, "input[name=alias]").send_keys("champion" + Keys.ENTER)
    wait(browser, lambda b: "@champion" in text(b))
    assert client.get_model_version_by_alias(two_versions, "champion").version in (2, "2")
    browser.find_element(By.CSS_SELECTOR, "details summary").click()
    browser.find_element(By.ID, "description").send_keys("# Card\n\nUse it for **churn** <script>document.title='owned'</script>")
    browser.find_element(By.XPATH, "//button[text()='Save']").click()
    wait(browser, lambda b: b.find_elements(By.CSS_SELECTOR, ".prose strong"))
    assert "owned" not in browser.title and not browser.find_elements(By.CSS_SELECTOR, "main script")
    assert browser.find_element(By.CSS_SELECTOR, ".prose h2").text == "Card"
    look(browser, "registry-described")
    # Another site's form changes nothing.
    for path in ("stage", "alias", "tag", "description"):
        answer = requests.post(f"{page}/{path}", headers={"Origin": "http://elsewhere.example"}, timeout=5, data={
            "stage": "Archived", "alias": "champion", "do": "delete", "key": "k", "value": "v", "description": "no"})
        assert answer.status_code == 403, path
    kept = client.get_model_version(two_versions, "2")
    assert kept.current_stage == "Production" and "k" not in kept.tags
    assert kept.description.startswith("# Card\n\nUse it for **churn**")


def test_versions_are_compared(aerie, browser, two_versions):  # noqa: F811
    browser.get(f"{aerie.http}/console/models/{two_versions}")
    browser.find_element(By.XPATH, "//button[text()='Compare']").click()
    wait(browser, lambda b: "versions" in b.current_url)
    differs = [row.text for row in browser.find_elements(By.CSS_SELECTOR, "tr.differs")]
    for what in ("auc 0.8100 0.8200", "C 1 2", "input income – double", "input wage double –"):
        assert what in differs, (what, differs)
    look(browser, "registry-compare")


def test_logged_models_are_listed_and_searched(aerie, browser, two_versions):  # noqa: F811
    experiment = mlflow.MlflowClient(aerie.http).get_experiment_by_name("console-registry").experiment_id
    browser.get(f"{aerie.http}/console/experiments/{experiment}/models")
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 2
    look(browser, "logged-models")
    browser.find_element(By.ID, "filter").send_keys("name = 'nothing'" + Keys.ENTER)
    wait(browser, lambda b: "No model fits" in text(b))
    box = browser.find_element(By.ID, "filter")
    box.clear()
    box.send_keys("name > >" + Keys.ENTER)
    wait(browser, lambda b: b.find_elements(By.ID, "problem"))


def test_no_page_is_wider_than_a_narrow_window(aerie, browser, swept, two_versions):  # noqa: F811
    size = browser.get_window_size()
    try:
        browser.set_window_size(800, 900)
        for path in (f"experiments/{swept[0]}", f"experiments/{swept[0]}/plots", f"runs/{swept[1][0]}",
                     f"compare?runs={','.join(swept[1][:12])}", f"models/{two_versions}", f"models/{two_versions}/2",
                     f"compare/versions?model={two_versions}&versions=1,2", ""):
            browser.get(f"{aerie.http}/console/{path}".rstrip("/"))
            wide, window = browser.execute_script(
                "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= window, path
    finally:
        browser.set_window_size(size["width"], size["height"])
