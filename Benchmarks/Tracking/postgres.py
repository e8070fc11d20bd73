"""A PostgreSQL server of a benchmark's own, on a free port of the loopback."""
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import time

from servers import free_port

PROGRAMS = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"))


class PostgresServer:
    """Started by initdb and postgres themselves; never as root, which they refuse."""

    def __init__(self, work: pathlib.Path):
        if not PROGRAMS:
            sys.exit("there is no PostgreSQL server; run scripts/test-tools")
        self.folder = work / "postgres"
        self.folder.mkdir()
        self.port = free_port()
        self.prefix = []
        if os.getuid() == 0:
            user = pwd.getpwnam("postgres")
            shutil.chown(self.folder, "postgres")
            work.chmod(0o755)
            self.prefix = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self.data = self.folder / "data"
        self.run("initdb", "-D", str(self.data), "-U", "aerie", "-A", "trust", "--no-locale", "-E", "UTF8")
        self.log = open(work / "postgres.log", "w")
        self.process = subprocess.Popen(
            [*self.prefix, str(PROGRAMS[-1] / "postgres"), "-D", str(self.data), "-p", str(self.port), "-h", "127.0.0.1",
             "-k", str(self.folder)], stdout=self.log, stderr=self.log)
        self.url = f"postgresql://aerie@127.0.0.1:{self.port}/postgres"
        for _ in range(300):
            ready = subprocess.run([str(PROGRAMS[-1] / "pg_isready"), "-h", "127.0.0.1", "-p", str(self.port)],
                                   capture_output=True)
            if ready.returncode == 0:
                return
            time.sleep(0.1)
        sys.exit("PostgreSQL did not start")

    def run(self, program: str, *arguments: str):
        subprocess.run([*self.prefix, str(PROGRAMS[-1] / program), *arguments], check=True, capture_output=True)

    def stop(self):
        # Fast: it does not wait for those who are still connected.
        self.process.send_signal(signal.SIGINT)
        self.process.wait(30)
        self.log.close()
