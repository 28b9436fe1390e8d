"""Real processes of one function, to be killed and started again."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from infra.local.ports import HOST, Ports, answers

ROOT = Path(__file__).parents[2]


class FunctionProcess:
    """A function served by functions-framework, as production serves it, on a port that it keeps."""

    def __init__(self, name: str, environment: Mapping[str, str], log: Path, folder: Path = ROOT / "functions") -> None:
        ports = Ports(usual=False)
        self.port = ports.take(0)
        ports.release()
        self.url = f"http://{HOST}:{self.port}/"
        self._log = log.open("ab")
        self._command = [sys.executable, "-m", "functions_framework", "--target", name]
        self._command += ["--source", str(folder / name / "main.py"), "--host", HOST, "--port", str(self.port)]
        self.environment = {**os.environ, **environment, "PYTHONPATH": str(ROOT), "FUNCTION_TARGET": name}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> "FunctionProcess":
        """Start it; `wait` for it."""
        self._process = subprocess.Popen(
            self._command, env=self.environment, cwd=ROOT, stdout=self._log, stderr=self._log, start_new_session=True
        )
        return self

    def wait(self, seconds: float = 30) -> "FunctionProcess":
        """Return once it listens; a RuntimeError where it has ended."""
        until = time.monotonic() + seconds
        while not answers(self.port):
            if time.monotonic() > until or self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"the function did not start: {self._log.name}")
            time.sleep(0.05)
        return self

    def terminate(self) -> int:
        """End it as the platform does: SIGTERM to the server, which ends its worker; its exit code, once it is gone."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        return process.wait()

    def most_memory(self) -> int:
        """The most memory that its worker ever had, in bytes."""
        if self._process is None:
            return 0
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        status = Path(f"/proc/{children[0]}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def kill(self) -> None:
        """kill -9, of the server and its worker: nothing is drained."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
