"""nginx with a fixed answer of 200 bytes, beside which the data plane is measured."""
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

from senders import pinned

ANSWER = '{"pad":"%s"}' % ("x" * 190)
SETTINGS = """
daemon off; worker_processes {workers}; pid {folder}/pid; error_log {folder}/log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 75;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{answer}'; }} }}
}}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Nginx:
    """One server with that many workers, on these processors only if some are named; `url` is what is asked for."""

    def __init__(self, workers: int, cores: str | None = None):
        self.workers, self.cores = workers, cores

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="aerie-nginx-")
        settings, port = pathlib.Path(self.folder.name) / "nginx.conf", free_port()
        settings.write_text(SETTINGS.format(workers=self.workers, folder=self.folder.name, port=port, answer=ANSWER))
        self.process = subprocess.Popen([*pinned(self.cores), "nginx", "-c", settings], stderr=subprocess.DEVNULL)
        self.url = f"http://127.0.0.1:{port}/"
        for _ in range(100):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        sys.exit(f"nginx did not start: {(settings.parent / 'log').read_text()}")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()
