"""The console's runs table and charts in a real browser: filter, sort, columns, pages, choice, scale."""
import mlflow
import pytest
import requests
from mlflow.entities import Metric, Param
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from test_console import browser, look, text, wait  # noqa: F401


@pytest.fixture(scope="module")
def sixty_runs(aerie):
    client = mlflow.MlflowClient(aerie.http)
    experiment = client.create_experiment("console-runs")
    runs = []
    for index in range(60):
        run = client.create_run(experiment, run_name=f"run-{index:02d}").info.run_id
        history = [Metric("loss", 100.0 / (step + 1) ** 3 + index, 1000 * step, step) for step in range(30)]
        client.log_batch(run, metrics=history + [Metric("score", index / 60, 0, 0)],
                         params=[Param("depth", str(index % 7)), Param("note", "<script>document.title='owned'</script>")])
        client.set_terminated(run, "FAILED" if index % 10 == 0 else "FINISHED")
        runs.append(run)
    return experiment, runs


def names(browser):  # noqa: F811
    return [cell.text for cell in browser.find_elements(By.CSS_SELECTOR, "table.runs tbody .name")]


def test_a_filter_leaves_what_fits_and_says_where_it_is_wrong(aerie, browser, sixty_runs):  # noqa: F811
    browser.get(f"{aerie.http}/console/experiments/{sixty_runs[0]}")
    assert len(names(browser)) == 50
    browser.find_element(By.ID, "filter").send_keys("metrics.score > 0.9 AND params.depth = '6'" + Keys.ENTER)
    wait(browser, lambda b: "q=" in b.current_url and names(b) == ["run-55"])
    look(browser, "runs-filtered")
    box = browser.find_element(By.ID, "filter")
    box.clear()
    box.send_keys("metrics.score > > 1" + Keys.ENTER)
    wait(browser, lambda b: b.find_elements(By.ID, "problem"))
    assert "character 17" in browser.find_element(By.ID, "problem").text
    look(browser, "runs-wrong-filter")


def test_the_store_sorts_and_pages(aerie, browser, sixty_runs):  # noqa: F811
    browser.get(f"{aerie.http}/console/experiments/{sixty_runs[0]}?size=25")
    browser.find_element(By.CSS_SELECTOR, "th a[title='metrics.score']").click()
    wait(browser, lambda b: names(b)[:1] == ["run-59"])
    seen = names(browser)
    assert browser.find_elements(By.CSS_SELECTOR, "td.best")
    for _ in range(2):
        browser.find_element(By.CSS_SELECTOR, "a[rel=next]").click()
        wait(browser, lambda b: names(b)[:1] != seen[-25:-24])
        seen += names(browser)
    assert seen == [f"run-{index:02d}" for index in reversed(range(60))]
    browser.find_element(By.CSS_SELECTOR, "a[rel=prev]").click()
    wait(browser, lambda b: names(b)[:1] == ["run-34"])
    assert not [e for e in browser.find_elements(By.CSS_SELECTOR, "table.runs script")]
    assert "owned" not in browser.title
    look(browser, "runs-page-two")


def test_the_chosen_columns_are_in_the_address(aerie, browser, sixty_runs):  # noqa: F811
    browser.get(f"{aerie.http}/console/experiments/{sixty_runs[0]}")
    browser.find_element(By.CSS_SELECTOR, ".chooser summary").click()
    look(browser, "runs-columns")
    for box in browser.find_elements(By.CSS_SELECTOR, ".chooser input"):
        if box.is_selected() != (box.get_attribute("value") == "params.depth"):
            box.click()
    browser.find_element(By.CSS_SELECTOR, ".chooser button").click()
    wait(browser, lambda b: "col=params.depth" in b.current_url)
    heads = [head.get_attribute("title") for head in browser.find_elements(By.CSS_SELECTOR, "th a")]
    assert heads == ["run_name", "status", "start_time", "params.depth"]


def test_keys_and_ranges_choose_runs_and_the_choice_is_tagged_and_deleted(aerie, browser, sixty_runs):  # noqa: F811
    client = mlflow.MlflowClient(aerie.http)
    browser.get(f"{aerie.http}/console/experiments/{sixty_runs[0]}?sort=run_name&dir=up&size=25")
    body = browser.find_element(By.TAG_NAME, "body")
    for key in ("j", "x", "j", "x"):
        body.send_keys(key)
    assert browser.find_element(By.ID, "count").text == "2 chosen"
    browser.find_element(By.CSS_SELECTOR, "input[name=tag]").send_keys("team=risk")
    browser.find_element(By.CSS_SELECTOR, "button[value=tag]").click()
    wait(browser, lambda b: client.get_run(sixty_runs[1][1]).data.tags.get("team") == "risk")
    assert client.get_run(sixty_runs[1][0]).data.tags["team"] == "risk"
    path = f"{aerie.http}/console/experiments/{sixty_runs[0]}/runs"
    for do, stage in (("delete", "deleted"), ("restore", "active")):
        requests.post(path, data={"run": sixty_runs[1][:2], "do": do}, timeout=5).raise_for_status()
        assert {client.get_run(run).info.lifecycle_stage for run in sixty_runs[1][:2]} == {stage}
    assert requests.post(path, data={"run": sixty_runs[1][:1], "do": "delete"},
                         headers={"Origin": "http://elsewhere.example"}, timeout=5).status_code == 403


def test_charts_are_drawn_on_a_logarithmic_scale_and_smoothed(aerie, browser, sixty_runs):  # noqa: F811
    run = sixty_runs[1][0]
    browser.get(f"{aerie.http}/console/runs/{run}")
    plain = browser.find_element(By.CSS_SELECTOR, "svg polyline").get_attribute("points")
    browser.get(f"{aerie.http}/console/runs/{run}?scale=log&x=relative")
    assert browser.find_element(By.CSS_SELECTOR, "svg polyline").get_attribute("points") != plain
    assert "100" in browser.find_element(By.CSS_SELECTOR, "svg[role=img]").text
    look(browser, "run-log")
    others = ",".join(sixty_runs[1][:3])
    browser.get(f"{aerie.http}/console/compare?runs={others}&smooth=0.9")
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg polyline[opacity]")) == 3
    look(browser, "compare-smoothed")
