"""The inference port asked by pages in a real, headless Chromium."""
import functools
import http.server
import threading

import pytest
import requests
from selenium import webdriver

ASK = """
const [url, done] = [arguments[0], arguments[1]];
fetch(url, {method: 'POST', headers: {'Content-Type': 'application/json', 'Seldon-Puid': 'from-a-page'},
            body: JSON.stringify({data: {ndarray: [[0, 0, 0, 0, 0, 0, 0, 0, 0]]}})})
  .then(async answer => done([answer.status, answer.headers.get('Seldon-Puid'), await answer.json()]))
  .catch(error => done(['' + error]));
"""


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A page's server: 127.0.0.1 and localhost are two origins of it."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "index.html").write_text("<!doctype html><title>a page</title>")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium_options):
    driver = webdriver.Chrome(options=chromium_options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(30)
    driver.set_script_timeout(30)
    yield driver
    driver.quit()


def test_a_page_that_is_named_reads_predictions_and_no_other_does(start_aerie, tmp_path, pages, browser):
    server = start_aerie(tmp_path / "data", environment={"CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{pages}"})
    server.cli("apply", "-f", "-", input="""
apiVersion: machinelearning.seldon.io/v1
kind: SeldonDeployment
metadata: {name: echo}
spec:
  predictors:
  - {name: main, graph: {name: echo, type: MODEL, implementation: SIMPLE_MODEL}}
""")
    url = f"{server.inference_http}/seldon/default/echo/api/v1.0/predictions"
    browser.get(f"http://127.0.0.1:{pages}/")
    status, puid, answer = browser.execute_async_script(ASK, url)
    assert (status, puid) == (200, "from-a-page")
    direct = requests.post(url, json={"data": {"ndarray": [[0] * 9]}}, timeout=30)
    assert answer["data"] == direct.json()["data"]
    # Errors can be read too.
    status, _, answer = browser.execute_async_script(ASK, url.replace("/echo/", "/nobody/"))
    assert status == 404 and "nobody" in str(answer)
    browser.get(f"http://localhost:{pages}/")
    assert browser.execute_async_script(ASK, url) == ["TypeError: Failed to fetch"]
