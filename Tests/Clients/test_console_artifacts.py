"""The console's previews of artifacts in a real browser: tables, JSON, Markdown, pages that stand apart."""
import mlflow
import numpy
import pandas
import pyarrow
import pyarrow.parquet
import pytest
import requests
from selenium.webdriver.common.by import By

from test_console import browser, look, text, wait  # noqa: F401

PAGE = """<!doctype html><h1 id="said">still</h1><script>
document.getElementById('said').textContent = 'origin ' + self.origin;
try { parent.document.title = 'owned' } catch (error) {}
fetch('/console').then(() => { document.getElementById('said').textContent = 'reached' }, () => {});
</script><form action="/console/experiments/0/runs" method="post"><button>send</button></form>"""


@pytest.fixture(scope="module")
def files(aerie, tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    table = pandas.DataFrame({"customer": [f"c-{i}" for i in range(5000)], "amount": numpy.arange(5000) / 4,
                              "<b>note</b>": ["<script>document.title='owned'</script>"] * 5000})
    table.to_parquet(folder / "table.parquet")
    table.to_parquet(folder / "t[0]*.parquet")
    table.to_csv(folder / "table.csv", index=False)
    # A kilobyte that says 800 GB.
    long = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * 200_000, pyarrow.int32()), ["b" * (4 << 20)])
    pyarrow.parquet.write_table(pyarrow.table({"x": long}), folder / "bomb.parquet", compression="zstd")
    (folder / "broken.parquet").write_bytes(b"PAR1" + b"\x00" * 64 + b"PAR1")
    (folder / "notes.md").write_text("# Findings\n\n- **one** [ok](https://x.example) [bad](javascript:alert(1))\n\n"
                                     "| a | b |\n|---|---|\n| 1 | <img src=x onerror=document.title='owned'> |\n")
    (folder / "page.html").write_text(PAGE)
    (folder / "folder").mkdir()
    (folder / "folder" / "conf.json").write_text('{"b": [1, 2], "a": {"c": null}}')
    (folder / "big.csv").write_bytes(b"a,b\n" + b"1,2\n" * 2_000_000)
    client = mlflow.MlflowClient(aerie.http)
    run = client.create_run(client.create_experiment("console-files"), run_name="files").info.run_id
    mlflow.set_tracking_uri(aerie.http)
    client.log_artifacts(run, str(folder))
    return run


def open_file(aerie, browser, run, path, query=""):  # noqa: F811
    browser.get(f"{aerie.http}/console/runs/{run}/artifact?path={requests.utils.quote(path)}{query}")
    assert "owned" not in browser.title


def test_a_parquet_file_is_a_table_of_text(aerie, browser, files):  # noqa: F811
    open_file(aerie, browser, files, "table.parquet")
    assert "5000 rows, 3 columns" in text(browser) and "c-99" in text(browser)
    assert len(browser.find_elements(By.CSS_SELECTOR, "tbody tr")) == 100
    assert "<b>note</b>" in text(browser) and not browser.find_elements(By.CSS_SELECTOR, "main script, th b")
    look(browser, "preview-parquet")
    open_file(aerie, browser, files, "t[0]*.parquet")
    assert "5000 rows, 3 columns" in text(browser)
    for name in ("broken", "bomb"):
        open_file(aerie, browser, files, f"{name}.parquet")
        assert "cannot be shown" in text(browser), name
    open_file(aerie, browser, files, "table.parquet")
    assert "5000 rows, 3 columns" in text(browser)


def test_only_the_beginning_of_a_long_table_is_read(aerie, browser, files):  # noqa: F811
    open_file(aerie, browser, files, "table.csv")
    assert "c-99" in text(browser)
    look(browser, "preview-csv")
    open_file(aerie, browser, files, "big.csv")
    assert "Only the beginning is shown" in text(browser)
    assert len(requests.get(browser.current_url, timeout=10).content) < 1 << 20


def test_json_is_set_out_and_markdown_runs_nothing(aerie, browser, files):  # noqa: F811
    open_file(aerie, browser, files, "folder")
    browser.find_element(By.PARTIAL_LINK_TEXT, "conf.json").click()
    assert '"c": null' in text(browser)
    open_file(aerie, browser, files, "notes.md")
    assert browser.find_element(By.CSS_SELECTOR, ".prose h2").text == "Findings"
    assert browser.find_elements(By.CSS_SELECTOR, ".prose a[href='https://x.example']")
    assert not browser.find_elements(By.CSS_SELECTOR, "a[href^=javascript], main img")
    look(browser, "preview-markdown")


def test_a_logged_page_reaches_nothing_of_the_console(aerie, browser, files):  # noqa: F811
    open_file(aerie, browser, files, "page.html")
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    assert browser.find_element(By.ID, "said").text == "still"
    browser.switch_to.default_content()
    browser.find_element(By.LINK_TEXT, "Run its scripts").click()
    browser.switch_to.frame(browser.find_element(By.TAG_NAME, "iframe"))
    wait(browser, lambda b: b.find_element(By.ID, "said").text == "origin null")
    # A fetch that is refused settles before this answer, which is asked for after it.
    assert browser.execute_async_script(
        "const done=arguments[0];fetch('/console').then(()=>done('reached'),()=>done('refused'))") == "refused"
    assert browser.find_element(By.ID, "said").text == "origin null"
    browser.switch_to.default_content()
    assert "owned" not in browser.title
    browser.get_log("browser")
    answer = requests.get(f"{aerie.http}/console/runs/{files}/file?path=page.html&frame=scripts", timeout=5)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox allow-scripts" in policy and "same-origin" not in policy
    # By its plain address it is a download.
    plain = requests.get(f"{aerie.http}/console/runs/{files}/file?path=page.html", timeout=5)
    assert plain.headers["Content-Disposition"].startswith("attachment") and "sandbox" in plain.headers["Content-Security-Policy"]
    assert requests.get(f"{aerie.http}/console/runs/{files}/file?path=../../x", timeout=5).status_code == 400
