"""A Dask cluster on this machine, for the tests of --scheduler."""

import json
import subprocess
import sys
import time
from pathlib import Path


class Cluster:
    """A scheduler and two workers: processes of their own, to be killed."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        where = ["--scheduler-file", str(self.file)]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", *where)
        deadline = time.monotonic() + 60
        while not (self.file.exists() and self.file.read_text()) and time.monotonic() < deadline:  # written, not only made
            time.sleep(0.05)
        self.address = json.loads(self.file.read_text())["address"]
        one = ["--nthreads", "1", "--no-nanny", "--no-dashboard", "--local-directory", str(folder)]
        self.workers = [self._start("worker", self.address, *one) for _ in range(2)]

    @staticmethod
    def _start(what: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
        return subprocess.Popen(command, cwd=Path(__file__).parents[2], stderr=subprocess.DEVNULL, start_new_session=True)

    def stop(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()
